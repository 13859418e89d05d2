"""What the commands have in common; they need the extra ``cli``."""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path
from typing import TypeVar

import typer

__all__ = ["load_target", "plain"]

T = TypeVar("T")


def load_target(target: str, kind: type[T]) -> T:
    """Return what the user names as ``module:attribute``.

    Raises:
        BadParameter: It cannot be imported, or is something else.
    """
    # As for `python -m`: the project's own modules are found from where it is run.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"{target} cannot be imported: {error}"
        raise typer.BadParameter(msg) from error
    if not isinstance(found, kind):
        msg = f"{target} is no {kind.__name__}"
        raise typer.BadParameter(msg)
    return found


def plain(value: object) -> str:
    """Return a text that rich shows as it is."""
    return str(value).replace("[", r"\[")
