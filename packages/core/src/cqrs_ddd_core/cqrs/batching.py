"""Many commands in one unit of work, for the price of one commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias

from pydantic import PrivateAttr
from typing_extensions import TypeVar

from cqrs_ddd_core.correlation import MessageContext, get_context, reset_context, set_context
from cqrs_ddd_core.cqrs.command import Command, CommandResponse, to_response
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConfigurationError,
    HandlerError,
)

if TYPE_CHECKING:
    from cqrs_ddd_core.cqrs.mediator import Mediator
    from cqrs_ddd_core.ports.locking import ResourceIdentifier

__all__ = ["BatchHandler", "CommandBatch", "CommandBatcher"]

_logger = logging.getLogger(__name__)

C = TypeVar("C", bound=Command[Any], default=Command[Any])
R = TypeVar("R", default=Any)

#: Handles commands together and returns their results in the same order.
BatchHandler: TypeAlias = Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
_Work: TypeAlias = Callable[[], Awaitable[list[CommandResponse[Any]]]]


class CommandBatch(Command[Any]):
    """Commands that are handled in one unit of work; made by ``CommandBatcher``."""

    size: int

    _commands: tuple[Command[Any], ...] = PrivateAttr()
    _work: _Work = PrivateAttr()

    @classmethod
    def of(cls, commands: Sequence[Command[Any]], work: _Work) -> Self:
        """Return a batch of commands together with what handles them."""
        batch = cls(size=len(commands))
        batch._commands = tuple(commands)
        batch._work = work
        return batch

    @property
    def commands(self) -> tuple[Command[Any], ...]:
        """The commands in the order they were sent."""
        return self._commands

    async def run(self) -> list[CommandResponse[Any]]:
        """Handle the commands and return their responses in the same order."""
        return await self._work()

    def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
        """Return what all its commands lock."""
        return tuple(chain.from_iterable(one.get_critical_resources() for one in self.commands))


async def _run_batch(batch: CommandBatch) -> CommandResponse[Any]:
    responses = await batch.run()
    # Not successful: rolled back, so that no other command commits with the failed one.
    return CommandResponse(responses, success=all(response.success for response in responses))


@dataclass(slots=True, eq=False)
class _Entry:
    command: Command[Any]
    context: MessageContext
    done: asyncio.Future[CommandResponse[Any]]


@dataclass(slots=True, eq=False)
class _Collection:
    entries: list[_Entry] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class CommandBatcher(Generic[C, R]):
    """Collects commands and handles them together in one unit of work, batch after batch.

    A batch begins when it is full or its first command has waited long enough. Each caller gets
    its own result. When a batch fails, or one of its commands returns a failed result, all of it
    is rolled back and its commands are handled one by one, each in a unit of work of its own, so
    that only the one at fault fails. A command sent inside a unit of work joins that one instead.
    Commands of different tenants are never in one batch.

    A caller that is cancelled before its batch begins takes its command out; afterwards the
    command is carried out and only its result is dropped.

    Args:
        mediator: Sends the batches, and the commands in them.
        handler: Handles a whole batch at once, such as with one insert; it has to see to repeats
            of a command itself. Without it each command is sent to its own handler.
        max_size: Commands in one batch.
        max_wait: Seconds a command waits for others.
        max_pending: Commands that wait or are handled; further callers wait for their turn.
    """

    def __init__(
        self,
        mediator: Mediator,
        handler: BatchHandler | None = None,
        *,
        max_size: int = 100,
        max_wait: float = 0.01,
        max_pending: int = 10_000,
    ) -> None:
        if max_size < 1 or max_pending < max_size or max_wait < 0:
            msg = "a batcher needs max_size >= 1, max_pending >= max_size and max_wait >= 0"
            raise ConfigurationError(msg)
        mediator.registry.register_command_handler(CommandBatch, _run_batch)
        self._mediator = mediator
        self._handler = handler
        self._max_size = max_size
        self._max_wait = max_wait
        self._slots = asyncio.Semaphore(max_pending)
        self._collections: dict[str, _Collection] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._closed = False

    async def send(self, command: C) -> CommandResponse[R]:
        """Handle a command together with others and return its own response, after the commit.

        Raises:
            HandlerError: The batcher is closed.
            Exception: Whatever handling this command alone raised.
        """
        if current_scope() is not None:
            return await self._mediator.send(command)
        async with self._slots:
            if self._closed:
                msg = "the command batcher is closed"
                raise HandlerError(msg)
            return await self._collect(command)

    async def close(self) -> None:
        """Take no more commands, handle those collected, and wait until all are done."""
        self._closed = True
        for tenant in list(self._collections):
            self._flush(tenant)
        while self._running:
            await asyncio.wait(self._running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _collect(self, command: C) -> asyncio.Future[CommandResponse[R]]:
        loop = asyncio.get_running_loop()
        context = get_context()
        entry = _Entry(command, context, loop.create_future())
        collection = self._collections.setdefault(context.tenant_id, _Collection())
        collection.entries.append(entry)
        if len(collection.entries) >= self._max_size:
            self._flush(context.tenant_id)
        elif collection.timer is None:
            collection.timer = loop.call_later(self._max_wait, self._flush, context.tenant_id)
        return entry.done

    def _flush(self, tenant_id: str) -> None:
        collection = self._collections.pop(tenant_id)
        if collection.timer is not None:
            collection.timer.cancel()
        task = asyncio.create_task(self._run(collection.entries, tenant_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, collected: Sequence[_Entry], tenant_id: str) -> None:
        # The context of whoever made the batch full is not that of the others.
        token = set_context(MessageContext(tenant_id=tenant_id))
        try:
            async with self._turn:
                waiting = [entry for entry in collected if not entry.done.done()]
                if len(waiting) < 2 or not await self._handle_together(waiting):
                    await self._handle_one_by_one(waiting)
        finally:
            reset_context(token)
            for entry in collected:
                entry.done.cancel()

    async def _handle_together(self, entries: Sequence[_Entry]) -> bool:
        """Return whether every caller has its answer now."""
        try:
            batch = await self._send_batch(entries)
        except CommitOutcomeUnknownError as error:
            # It may have been committed: running the commands again could apply them twice.
            for entry in entries:
                _fail(entry, error)
            return True
        except Exception:
            # Whose fault it is shows when each runs alone.
            _logger.warning("%d commands failed as a batch", len(entries), exc_info=True)
            return False
        if batch.success:
            for entry, response in zip(entries, batch.result, strict=True):
                _answer(entry, response)
        return batch.success

    async def _handle_one_by_one(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            if entry.done.done():
                continue
            try:
                response = await self._handle_alone(entry)
            except Exception as error:  # noqa: BLE001 - it goes to the caller
                _fail(entry, error)
            else:
                _answer(entry, response)

    async def _handle_alone(self, entry: _Entry) -> CommandResponse[Any]:
        if self._handler is None:
            return await self._send(entry)
        return (await self._send_batch([entry])).result[0]

    async def _send_batch(
        self, entries: Sequence[_Entry]
    ) -> CommandResponse[list[CommandResponse[Any]]]:
        commands = [entry.command for entry in entries]
        if self._handler is None:
            work = partial(self._send_each, entries)
        else:
            work = partial(_hand_over, self._handler, commands)
        batch = CommandBatch.of(commands, work)
        response: CommandResponse[list[CommandResponse[Any]]] = await self._mediator.send(batch)
        for one in response.result:
            one.position = response.position
        return response

    async def _send_each(self, entries: Sequence[_Entry]) -> list[CommandResponse[Any]]:
        return [await self._send(entry) for entry in entries]

    async def _send(self, entry: _Entry) -> CommandResponse[Any]:
        token = set_context(entry.context)
        try:
            return await self._mediator.send(entry.command)
        finally:
            reset_context(token)


async def _hand_over(
    handler: BatchHandler, commands: Sequence[Command[Any]]
) -> list[CommandResponse[Any]]:
    results = await handler(commands)
    if len(results) != len(commands):
        msg = f"a batch handler got {len(commands)} commands and returned {len(results)} results"
        raise HandlerError(msg)
    return [to_response(result, command) for result, command in zip(results, commands, strict=True)]


def _answer(entry: _Entry, response: CommandResponse[Any]) -> None:
    if not entry.done.done():
        entry.done.set_result(response)


def _fail(entry: _Entry, error: Exception) -> None:
    if not entry.done.done():
        entry.done.set_exception(error)
