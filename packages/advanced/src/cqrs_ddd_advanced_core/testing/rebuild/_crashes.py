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

__all__ = ["CrashTests"]

_STORE: Final = ("rename", "exists", "apply")
_CHECKPOINTS: Final = ("lock", "set_position", "serve", "tenants")


class _Crash(BaseException):
    """Ends everything there and then."""


class CrashTests(RebuildSuite):
    """Whatever step of a swap fails, everything is as it was, and it can be done again."""

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("step", [*_STORE, *_CHECKPOINTS, "move"])
    async def test_a_swap_that_ends_anywhere_has_no_effect(
        self, shop: RebuiltShop, step: str, when: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The same version once more takes all steps but one.
        projector = ShopProjectorV2() if step == "serve" else ShopProjector()
        rebuilder = shop.rebuilder(projector)
        await shop.open()
        version = await rebuilder.build("shop")
        await shop.buy("b-1")
        await shop.catch_up()
        before = (await shop.rows(), await shop.serving(), await shop.states())
        await self._crash_in_swap(shop, rebuilder, step, monkeypatch, is_done=when == "after")
        assert (await shop.rows(), await shop.serving(), await shop.states()) == before
        await shop.buy("b-2")
        assert await shop.catch_up() == 1
        await rebuilder.swap("shop", unverified_because="the test compares it")
        assert await shop.rows() == await shop.fold()
        assert await shop.serving() == abs(version)

    async def _crash_in_swap(
        self,
        shop: RebuiltShop,
        rebuilder: Any,
        step: str,
        monkeypatch: pytest.MonkeyPatch,
        *,
        is_done: bool,
    ) -> None:
        store = shop.store
        owner: Any = store if step in _STORE else store.checkpoints
        if step == "move":
            owner = store.parked_events
        with monkeypatch.context() as patched:
            patched.setattr(owner, step, _crashing(getattr(owner, step), is_done=is_done))
            with pytest.raises(_Crash):
                await rebuilder.swap("shop", unverified_because="it crashes")


def _crashing(call: Callable[..., Any], *, is_done: bool) -> Callable[..., Any]:
    async def crash(*args: Any, **kwargs: Any) -> Any:
        if is_done:
            await call(*args, **kwargs)
        raise _Crash

    return crash
