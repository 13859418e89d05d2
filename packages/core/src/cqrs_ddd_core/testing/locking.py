"""What every lock strategy must do."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cqrs_ddd_core.ports.locking import ILockStrategy, LockMode, ResourceIdentifier
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import LockAcquisitionError
from cqrs_ddd_core.testing.cancellation import completes_despite_cancellation_at
from cqrs_ddd_core.testing.conformance import Conformance, needs
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

__all__ = ["LockingConformance"]

_WRITE = ResourceIdentifier("Order", "o-1")
_READ = ResourceIdentifier("Order", "o-1", LockMode.READ)
_SHORT = 0.1
_LONG = 20.0


class LockingConformance(Conformance):
    """Exclusion, sharing, time limits, and waiters that give up."""

    @pytest.fixture
    def subject(self) -> ILockStrategy:
        raise NotImplementedError("yield a lock strategy of which nothing is locked")

    # -- exclusion ----------------------------------------------------------------------------

    async def test_many_tasks_hold_a_write_lock_one_at_a_time(self, subject: ILockStrategy) -> None:
        """C-5: and all of them get it."""
        inside, most, passed = 0, 0, 0

        async def work() -> None:
            nonlocal inside, most, passed
            for _ in range(3):
                token = await subject.acquire(_WRITE, timeout=_LONG)
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1
                passed += 1
                assert await subject.release(_WRITE, token)

        await asyncio.gather(*(work() for _ in range(12)))
        assert (most, passed) == (1, 36)

    async def test_readers_and_writers_keep_apart(self, subject: ILockStrategy) -> None:
        readers, writers = 0, 0

        async def read() -> None:
            nonlocal readers
            token = await subject.acquire(_READ, timeout=_LONG)
            readers += 1
            await asyncio.sleep(0.001)
            assert writers == 0
            readers -= 1
            await subject.release(_READ, token)

        async def write() -> None:
            nonlocal writers
            token = await subject.acquire(_WRITE, timeout=_LONG)
            writers += 1
            await asyncio.sleep(0.001)
            assert (readers, writers) == (0, 1)
            writers -= 1
            await subject.release(_WRITE, token)

        await asyncio.gather(*(write() if number % 3 == 0 else read() for number in range(15)))
        assert await subject.get_active_locks() == []

    async def test_readers_share(self, subject: ILockStrategy) -> None:
        """C-6."""
        one = await subject.acquire(_READ, timeout=_LONG)
        two = await subject.acquire(_READ, timeout=_LONG)
        assert one != two
        assert await subject.release(_READ, one)
        with pytest.raises(LockAcquisitionError):
            await subject.acquire(_WRITE, timeout=_SHORT)
        assert await subject.release(_READ, two)
        await subject.release(_WRITE, await subject.acquire(_WRITE, timeout=_LONG))

    @pytest.mark.parametrize("wanted", [_WRITE, _READ], ids=str)
    async def test_a_writer_excludes_others(
        self, subject: ILockStrategy, wanted: ResourceIdentifier
    ) -> None:
        token = await subject.acquire(_WRITE, timeout=_LONG)
        with pytest.raises(LockAcquisitionError) as refused:
            await subject.acquire(wanted, timeout=_SHORT)
        assert (refused.value.resource, refused.value.timeout) == (wanted, _SHORT)
        assert await subject.release(_WRITE, token)
        assert await subject.release(wanted, await subject.acquire(wanted, timeout=_LONG))

    async def test_a_free_lock_is_taken_without_waiting(self, subject: ILockStrategy) -> None:
        token = await subject.acquire(_WRITE, timeout=0)
        with pytest.raises(LockAcquisitionError):
            await subject.acquire(_WRITE, timeout=0)
        await subject.release(_WRITE, token)

    async def test_different_resources_do_not_exclude_each_other(
        self, subject: ILockStrategy
    ) -> None:
        resources = [
            _WRITE,
            ResourceIdentifier("Order", "o-2"),
            ResourceIdentifier("Customer", "o-1"),
            ResourceIdentifier(AWKWARD_TEXT, AWKWARD_TEXT),
        ]
        tokens = [await subject.acquire(resource, timeout=_LONG) for resource in resources]
        assert len(set(tokens)) == len(resources)
        active = await subject.get_active_locks()
        assert {(lock.resource, lock.token) for lock in active} == set(
            zip(resources, tokens, strict=True)
        )
        for resource, token in zip(resources, tokens, strict=True):
            assert await subject.release(resource, token)
        assert await subject.get_active_locks() == []

    # -- tokens -------------------------------------------------------------------------------

    async def test_a_wrong_token_releases_and_extends_nothing(self, subject: ILockStrategy) -> None:
        token = await subject.acquire(_WRITE, timeout=_LONG)
        assert not await subject.release(_WRITE, "another")
        assert not await subject.extend(_WRITE, "another", 30)
        assert not await subject.release(ResourceIdentifier("Order", "o-2"), token)
        with pytest.raises(LockAcquisitionError):
            await subject.acquire(_WRITE, timeout=_SHORT)
        assert await subject.release(_WRITE, token)

    async def test_a_lock_is_released_once(self, subject: ILockStrategy) -> None:
        first = await subject.acquire(_WRITE, timeout=_LONG)
        assert await subject.release(_WRITE, first)
        assert not await subject.release(_WRITE, first)
        second = await subject.acquire(_WRITE, timeout=_LONG)
        assert second != first
        assert not await subject.release(_WRITE, first)
        assert await subject.release(_WRITE, second)

    # -- time ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("held", [_WRITE, _READ], ids=str)
    async def test_a_hold_ends_with_its_time(
        self, subject: ILockStrategy, held: ResourceIdentifier
    ) -> None:
        """C-6."""
        token = await subject.acquire(held, timeout=_LONG, ttl=_SHORT)
        other = await subject.acquire(_WRITE, timeout=_LONG)
        assert not await subject.extend(held, token, 30)
        assert not await subject.release(held, token)
        with pytest.raises(LockAcquisitionError):
            await subject.acquire(_WRITE, timeout=_SHORT)
        assert await subject.release(_WRITE, other)

    async def test_an_extended_hold_lasts_longer(self, subject: ILockStrategy) -> None:
        token = await subject.acquire(_WRITE, timeout=_LONG, ttl=0.4)
        assert await subject.extend(_WRITE, token, 30)
        with pytest.raises(LockAcquisitionError):
            await subject.acquire(_WRITE, timeout=0.6)
        [active] = await subject.get_active_locks()
        assert active.token == token
        assert active.expires_at > utc_now() + timedelta(seconds=1)
        assert await subject.release(_WRITE, token)

    # -- waiters ------------------------------------------------------------------------------

    async def test_a_release_wakes_a_waiter(self, subject: ILockStrategy) -> None:
        token = await subject.acquire(_WRITE, timeout=_LONG)
        waiter = asyncio.create_task(subject.acquire(_WRITE, timeout=_LONG))
        await asyncio.sleep(0.01)
        assert not waiter.done()
        await subject.release(_WRITE, token)
        assert await subject.release(_WRITE, await waiter)

    async def test_a_waiter_that_gave_up_never_gets_the_lock(self, subject: ILockStrategy) -> None:
        """C-6: the next one gets it."""
        token = await subject.acquire(_WRITE, timeout=_LONG)
        impatient = [subject.acquire(_WRITE, timeout=_SHORT) for _ in range(3)]
        patient = asyncio.create_task(subject.acquire(_WRITE, timeout=_LONG))
        outcomes = await asyncio.gather(*impatient, return_exceptions=True)
        assert all(isinstance(outcome, LockAcquisitionError) for outcome in outcomes)
        await subject.release(_WRITE, token)
        assert await subject.release(_WRITE, await patient)
        assert await subject.get_active_locks() == []

    async def test_a_writer_that_gave_up_keeps_no_reader_out(self, subject: ILockStrategy) -> None:
        first = await subject.acquire(_READ, timeout=_LONG)
        with pytest.raises(LockAcquisitionError):
            await subject.acquire(_WRITE, timeout=_SHORT)
        second = await subject.acquire(_READ, timeout=_LONG)
        assert await subject.release(_READ, first)
        assert await subject.release(_READ, second)

    async def test_a_cancelled_waiter_never_gets_the_lock(self, subject: ILockStrategy) -> None:
        token = await subject.acquire(_WRITE, timeout=_LONG)
        waiters = [asyncio.create_task(subject.acquire(_WRITE, timeout=_LONG)) for _ in range(4)]
        await asyncio.sleep(0.01)
        for waiter in waiters[:3]:
            waiter.cancel()
        await asyncio.gather(*waiters[:3], return_exceptions=True)
        await subject.release(_WRITE, token)
        assert await subject.release(_WRITE, await waiters[3])
        assert await subject.get_active_locks() == []

    @pytest.mark.parametrize("is_released_first", [True, False])
    async def test_waiters_cancelled_while_the_lock_is_handed_over_do_not_keep_it(
        self, subject: ILockStrategy, *, is_released_first: bool
    ) -> None:
        token = await subject.acquire(_WRITE, timeout=_LONG)
        waiter = asyncio.create_task(subject.acquire(_WRITE, timeout=_LONG))
        await asyncio.sleep(0.01)
        if is_released_first:
            await subject.release(_WRITE, token)
        waiter.cancel()
        if not is_released_first:
            assert await subject.release(_WRITE, token)
        outcome = (await asyncio.gather(waiter, return_exceptions=True))[0]
        if isinstance(outcome, str):
            await subject.release(_WRITE, outcome)
        await subject.release(_WRITE, await subject.acquire(_WRITE, timeout=_LONG))

    async def test_a_waiter_cancelled_just_before_the_release_does_not_disturb_it(
        self, subject: ILockStrategy
    ) -> None:
        token = await subject.acquire(_WRITE, timeout=_LONG)
        waiters = [asyncio.create_task(subject.acquire(_WRITE, timeout=_LONG)) for _ in range(2)]
        await asyncio.sleep(0.01)
        waiters[0].cancel()
        # The cancelled task has not run yet.
        assert await subject.release(_WRITE, token)
        await asyncio.gather(waiters[0], return_exceptions=True)
        assert await subject.release(_WRITE, await waiters[1])
        assert await subject.get_active_locks() == []

    async def test_cancellation_at_any_await_leaves_the_lock_free(
        self, subject: ILockStrategy
    ) -> None:
        async def work() -> None:
            token = await subject.acquire(_WRITE, timeout=_LONG, ttl=1)
            try:
                await asyncio.sleep(0)
            finally:
                await subject.release(_WRITE, token)

        for suspension in range(1, 200):
            is_complete = await completes_despite_cancellation_at(suspension, work())
            await subject.release(_WRITE, await subject.acquire(_WRITE, timeout=_LONG))
            if is_complete:
                return
        pytest.fail("more awaits than expected")

    @needs("fairness")
    async def test_locks_are_granted_in_the_order_they_were_asked_for(
        self, subject: ILockStrategy
    ) -> None:
        granted: list[str] = []

        async def take(name: str, resource: ResourceIdentifier) -> None:
            token = await subject.acquire(resource, timeout=_LONG)
            granted.append(name)
            await asyncio.sleep(0.001)
            await subject.release(resource, token)

        first = await subject.acquire(_READ, timeout=_LONG)
        tasks = []
        for name, resource in [("w1", _WRITE), ("r1", _READ), ("r2", _READ), ("w2", _WRITE)]:
            tasks.append(asyncio.create_task(take(name, resource)))
            await asyncio.sleep(0)
        await subject.release(_READ, first)
        await asyncio.gather(*tasks)
        assert granted == ["w1", "r1", "r2", "w2"]
