"""What is wrong with a payload, without the payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["problems_of"]


def problems_of(error: ValidationError) -> str:
    """Return which fields do not fit and why, without their values.

    Values may not belong into a log or a dead letter. Raise ``from None`` with it, for pydantic's
    own text quotes them.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
