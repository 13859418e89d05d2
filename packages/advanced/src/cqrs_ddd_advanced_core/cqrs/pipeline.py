"""Command handlers with behaviors of their own."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.handler import CommandHandler
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.middleware import IMiddleware

__all__ = ["PipelinedCommandHandler"]

C = TypeVar("C", bound=Command[Any])
R = TypeVar("R", default=Any)


class PipelinedCommandHandler(CommandHandler[C, R]):
    """A command handler that brings middlewares along, which run around its own commands only.

    The mediator runs them: those of scope ``OUTSIDE`` around the unit of work, so that one which
    awaits the next handler again gets a fresh unit of work, and those of scope ``INSIDE`` in it.
    A handler that is called without a mediator runs bare.
    """

    _added: tuple[IMiddleware, ...] = ()
    _is_running: bool = False

    @property
    def behaviors(self) -> tuple[IMiddleware, ...]:
        """What the mediator runs around its commands; nothing can be added from then on."""
        self._is_running = True
        return self.get_pipeline()

    def add_behavior(self, behavior: IMiddleware) -> None:
        """Add a behavior inside of all that are there: the first added is the outermost.

        Raises:
            ConfigurationError: A mediator runs the handler already, without it.
        """
        if self._is_running:
            msg = (
                f"{type(self).__name__} runs already, and {type(behavior).__name__} would never be "
                "called: add behaviors before the first command, for instance in __init__"
            )
            raise ConfigurationError(msg)
        self._added = (*self._added, behavior)

    def get_pipeline(self) -> tuple[IMiddleware, ...]:
        """Return the behaviors, the outermost first."""
        return (*self._built_in_behaviors(), *self._added)

    async def handle(self, command: C) -> R | CommandResponse[R]:
        """Run one try of a command; the mediator calls it."""
        return await self.process(command)

    @abstractmethod
    async def process(self, command: C) -> R | CommandResponse[R]:
        """Change something and return the result; raising rolls everything back."""

    def _built_in_behaviors(self) -> tuple[IMiddleware, ...]:
        return ()
