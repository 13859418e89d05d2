"""Where expected and actual events and states differ, for a person to read."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS, DomainEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["check_events", "check_message", "check_values", "failure", "show_events"]

_LEGEND: Final = '("-" was expected, "+" is so)'
_ABSENT: Final = object()


def check_events(kind: str, expected: Sequence[DomainEvent], actual: Sequence[DomainEvent]) -> None:
    """Compare events in their order; fields of the envelope where the expected one was given them.

    Raises:
        AssertionError: They are not the expected ones.
    """
    __tracebackhide__ = True
    if lines := _event_differences(expected, actual):
        raise failure(f"the {kind} events are not the expected ones {_LEGEND}", lines)


def check_values(expected: Mapping[str, object], actual: Mapping[str, object]) -> None:
    """Compare values by their names, and models by their fields.

    Raises:
        AssertionError: They are not the expected ones.
    """
    __tracebackhide__ = True
    if lines := _compare(expected, actual):
        raise failure(f"the state is not the expected one {_LEGEND}", lines)


def check_message(error: Exception, match: str | None) -> None:
    """Look for a regular expression in the message of an error.

    Raises:
        AssertionError: It is not there.
    """
    __tracebackhide__ = True
    if match is not None and not re.search(match, str(error)):
        problem = f"{type(error).__name__} says something else {_LEGEND}"
        raise failure(problem, [f"- {match}", f"+ {error}"]) from error


def failure(problem: str, lines: Sequence[str]) -> AssertionError:
    """Return the error of an expectation that is not met."""
    return AssertionError("\n".join([problem, "", *(f"  {line}" for line in lines)]))


def show_events(events: Sequence[DomainEvent]) -> list[str]:
    """Return a line for each event that came."""
    return [f"+ {_show(event)}" for event in events] or ["+ nothing happened"]


def _event_differences(expected: Sequence[DomainEvent], actual: Sequence[DomainEvent]) -> list[str]:
    lines: list[str] = []
    is_equal = True
    types = [type(event) for event in expected], [type(event) for event in actual]
    for tag, i, j, k, m in SequenceMatcher(None, *types, autojunk=False).get_opcodes():
        pairs = zip(expected[i:j], actual[k:m], strict=True) if tag == "equal" else ()
        for ours, theirs in pairs:
            differing = _compare(_payload(ours, ours), _payload(theirs, ours))
            lines += _event_lines(ours, differing)
            is_equal = is_equal and not differing
        if tag != "equal":
            lines += [f"- {_show(event)}" for event in expected[i:j]]
            lines += [f"+ {_show(event)}" for event in actual[k:m]]
            is_equal = False
    return [] if is_equal else lines


def _value_differences(expected: object, actual: object, name: str) -> list[str]:
    ours, theirs = _parts(expected, name), _parts(actual, name)
    if type(expected) is type(actual) and ours is not None and theirs is not None:
        return _compare(ours, theirs)
    if expected is not _ABSENT and actual is not _ABSENT and expected == actual:
        return []
    return [*_line("-", name, expected), *_line("+", name, actual)]


def _show(event: DomainEvent) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in _payload(event, event).items())
    return f"{type(event).__name__}({given})"


def _payload(event: DomainEvent, expected: DomainEvent) -> dict[str, Any]:
    """Return the fields that count: the payload's, and what the expected envelope was given."""
    ignored = ENVELOPE_FIELDS - expected.model_fields_set
    names = [name for name in type(event).model_fields if name not in ignored]
    return {name: event.__dict__[name] for name in names}


def _event_lines(event: DomainEvent, differing: Iterable[str]) -> list[str]:
    if not differing:
        return [f"  {_show(event)}"]
    return [f"  {type(event).__name__}", *(f"{line[0]}    {line[1:]}" for line in differing)]


def _compare(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in dict.fromkeys((*expected, *actual)):
        lines += _value_differences(expected.get(name, _ABSENT), actual.get(name, _ABSENT), name)
    return lines


def _parts(value: Any, name: str) -> dict[str, Any] | None:
    """Return what a value consists of, each part under its full name."""
    if isinstance(value, BaseModel):
        return {_joined(name, key): part for key, part in value.__dict__.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {_joined(name, one.name): getattr(value, one.name) for one in fields(value)}
    if isinstance(value, dict):
        return {f"{name}[{key!r}]": part for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return {f"{name}[{index}]": part for index, part in enumerate(value)}
    return None


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _line(sign: str, name: str, value: object) -> list[str]:
    if value is _ABSENT:
        return []
    return [f"{sign} {name} = {value!r}" if name else f"{sign} {value!r}"]
