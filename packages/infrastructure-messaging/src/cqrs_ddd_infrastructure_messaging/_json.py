"""JSON from strangers, with limits that hold before anything is built from it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic_core import from_json

from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_own_object", "load_object"]

# The last quote may be missing: to look for it again from every place would take for ever.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_OPENING = b"[{"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class _DuplicateKeyError(Exception):
    """An object has a key twice."""


def load_object(text: bytes, what: str, *, max_depth: int) -> dict[str, Any]:
    """Read a JSON object that obeys RFC 8259 to the letter.

    Args:
        text: UTF-8.
        what: What it is, for the error.
        max_depth: How many levels of lists and objects it may have.

    Raises:
        MalformedMessageError: It is no JSON, nests too deep, is no object, has a key twice, or
            holds ``NaN`` or an infinity.
    """
    _check_depth(text, what, max_depth)
    try:
        value = _decoder.decode(text.decode())
        if b"\\u" in text:
            # Halves of surrogate pairs, which Python's own reader lets through.
            from_json(text)
    except _DuplicateKeyError:
        raise MalformedMessageError(f"{what} has a key twice in one object") from None
    except ValueError:
        # Without the cause, which quotes the text.
        raise MalformedMessageError(f"{what} is no JSON") from None
    if not isinstance(value, dict):
        raise MalformedMessageError(f"{what} is no JSON object")
    return value


def check_own_object(text: bytes, what: str, *, max_depth: int) -> None:
    """Check JSON that this process wrote: the rules of ``load_object``, but for keys given twice.

    No serializer writes those, and looking for them would cost three times as much.

    Raises:
        MalformedMessageError: As there.
    """
    _check_depth(text, what, max_depth)
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise MalformedMessageError(f"{what} is no JSON") from None
    if not isinstance(value, dict):
        raise MalformedMessageError(f"{what} is no JSON object")


def _check_depth(text: bytes, what: str, max_depth: int) -> None:
    if text.count(b"[") + text.count(b"{") <= max_depth:
        return
    # A parser goes down only as far as this counts: both read the same tokens up to a mistake.
    depth = 0
    for bracket in _STRINGS.sub(b"", text).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > max_depth:
            raise MalformedMessageError(f"{what} nests deeper than {max_depth} levels")


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


def _refuse(name: str) -> NoReturn:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
