"""Whatever step of a swap fails, everything is as it was, and it can be done again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from cqrs_ddd_advanced_core.testing.projection._suite import ShopProjector
from cqrs_ddd_advanced_core.testing.rebuild._suite import (
    RebuildSuite,
    RebuiltShop,
    ShopProjectorV2,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cqrs_ddd_advanced_core.projections import ProjectionRebuilder

__all__ = ["CrashTests"]

_STORE: Final = ("rename", "exists", "apply")
_CHECKPOINTS: Final = ("lock", "set_position", "tenants")


class _Crash(BaseException):
    """Ends everything there and then."""


class CrashTests(RebuildSuite):
    """Whatever step of a swap fails, everything is as it was, and it can be done again."""

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_swap_of_versions_that_ends_anywhere_has_no_effect(
        self, shop: RebuiltShop, when: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checkpoints = shop.store.checkpoints
        steps = [*self._steps(shop), (checkpoints, "serve")]
        await self._crash_everywhere(shop, shop.rebuilder(), steps, when, monkeypatch)
        assert await shop.serving() == ShopProjectorV2.version

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_swap_of_the_same_version_that_ends_anywhere_has_no_effect(
        self, shop: RebuiltShop, when: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = [*self._steps(shop), (shop.store.parked_events, "move")]
        rebuilder = shop.rebuilder(ShopProjector())
        await self._crash_everywhere(shop, rebuilder, steps, when, monkeypatch)
        assert await shop.serving() == ShopProjector.version

    def _steps(self, shop: RebuiltShop) -> list[tuple[Any, str]]:
        store = shop.store
        return [
            *((store, name) for name in _STORE),
            *((store.checkpoints, name) for name in _CHECKPOINTS),
        ]

    async def _crash_everywhere(
        self,
        shop: RebuiltShop,
        rebuilder: ProjectionRebuilder,
        steps: list[tuple[Any, str]],
        when: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await shop.open()
        await rebuilder.build("shop")
        for owner, name in steps:
            await shop.buy("b-1")
            await shop.catch_up()
            before = (await shop.rows(), await shop.serving(), await shop.states())
            with monkeypatch.context() as patched:
                patched.setattr(owner, name, _crashing(getattr(owner, name), when))
                with pytest.raises(_Crash):
                    await rebuilder.swap("shop", unverified_because="it crashes")
            assert (await shop.rows(), await shop.serving(), await shop.states()) == before
            assert before[0] == await shop.fold()
        await rebuilder.swap("shop", unverified_because="the test compares it")
        assert await shop.rows() == await shop.fold()


def _crashing(call: Callable[..., Any], when: str) -> Callable[..., Any]:
    async def crash(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            await call(*args, **kwargs)
        raise _Crash

    return crash
