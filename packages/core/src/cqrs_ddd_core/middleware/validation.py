"""Messages are checked before their handlers run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar

import pydantic

from cqrs_ddd_core.middleware._message import name_of
from cqrs_ddd_core.ports.middleware import IMiddleware, MiddlewareScope
from cqrs_ddd_core.ports.validation import IValidator, ValidationResult
from cqrs_ddd_core.primitives.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["CompositeValidator", "PydanticValidator", "ValidationMiddleware", "messages_of"]


class ValidationMiddleware(IMiddleware):
    """Refuses messages that a validator, or the message itself, finds fault with.

    A message may define ``can_execute()``, async or not, that returns ``True``, ``False`` or a
    ``ValidationResult``. Checks of a command run in its unit of work, so that what they read is
    what the handler will see.

    Args:
        validator: Checks every message; without one only ``can_execute`` is asked.
    """

    scope: ClassVar[MiddlewareScope] = MiddlewareScope.INSIDE

    def __init__(self, validator: IValidator | None = None) -> None:
        self._validator = validator

    def applies_to(self, message_type: type[Any]) -> bool:
        return self._validator is not None or hasattr(message_type, "can_execute")

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        """Check the message and run the rest of the pipeline.

        Raises:
            ValidationError: Something was found; the handler did not run.
        """
        found = await self._check(message)
        if not found.is_valid:
            raise ValidationError(found.errors)
        return await next_handler(message)

    async def _check(self, message: Any) -> ValidationResult:
        found = ValidationResult()
        if self._validator is not None:
            found = await self._validator.validate(message)
        if hasattr(message, "can_execute"):
            found = found.merge(await _ask(message))
        return found


async def _ask(message: Any) -> ValidationResult:
    answer = message.can_execute()
    if isawaitable(answer):
        answer = await answer
    if isinstance(answer, ValidationResult):
        return answer
    if answer:
        return ValidationResult()
    return ValidationResult({"__all__": (f"{name_of(type(message))} cannot be executed now",)})


class CompositeValidator(IValidator):
    """Asks several validators, one after the other, and returns all they found.

    Args:
        validators: Those for messages of every type.
        per_type: Those for single message types and their subclasses.
    """

    def __init__(
        self,
        validators: Sequence[IValidator] = (),
        *,
        per_type: Mapping[type[Any], Sequence[IValidator]] | None = None,
    ) -> None:
        self._validators = tuple(validators)
        self._per_type = dict(per_type or {})

    async def validate(self, message: Any) -> ValidationResult:
        found = ValidationResult()
        for validator in (*self._validators, *self._for_type(type(message))):
            found = found.merge(await validator.validate(message))
        return found

    def _for_type(self, message_type: type[Any]) -> Iterator[IValidator]:
        for parent in reversed(message_type.__mro__):
            yield from self._per_type.get(parent, ())


class PydanticValidator(IValidator):
    """Validates again what may have been built without validation, by ``model_construct``.

    Each model is validated by its own class, nested ones as well. Field validators see values
    that may have been validated before.
    """

    async def validate(self, message: Any) -> ValidationResult:
        found = ValidationResult()
        for path, model in _models(message, ()):
            try:
                type(model).model_validate(dict(model.__dict__))
            except pydantic.ValidationError as error:
                found = found.merge(ValidationResult(messages_of(error, path)))
        return found


def messages_of(
    error: pydantic.ValidationError, path: Sequence[str | int] = ()
) -> dict[str, tuple[str, ...]]:
    """Return pydantic's findings as messages per field, nested fields with dots."""
    messages: dict[str, tuple[str, ...]] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(map(str, (*path, *detail["loc"]))) or "__all__"
        messages[field] = (*messages.get(field, ()), detail["msg"])
    return messages


def _models(
    value: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], pydantic.BaseModel]]:
    children: Iterator[tuple[str | int, Any]]
    if isinstance(value, pydantic.BaseModel):
        yield path, value
        children = iter(value.__dict__.items())
    elif isinstance(value, Mapping):
        children = iter(value.items())
    elif isinstance(value, (list, tuple)):
        children = iter(enumerate(value))
    else:
        return
    for name, child in children:
        yield from _models(child, (*path, name))
