"""Reading a purchase log: one command for each line, or a reason why not."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from record_store.record_purchase import RecordPurchase

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["COLUMNS", "Line", "MalformedLineError", "PurchaseLog", "WrongHeaderError"]

#: The columns of a purchase log, and what may stand in each.
COLUMNS: Final = {
    "customer_id": (re.compile(r"[\w.-]{1,64}"), "is not an id"),
    "sample_id": (re.compile(r"[\w.-]{1,64}"), "is not an id"),
    "date": (re.compile(r"\d{4}-\d\d-\d\d", re.ASCII), "is not a date like 1997-01-31"),
    "units": (re.compile(r"-?\d{1,9}", re.ASCII), "is not a whole number of up to nine digits"),
    "amount": (
        re.compile(r"-?\d{1,9}(\.\d{1,2})?", re.ASCII),
        "is not an amount of dollars and cents like 29.33",
    ),
}
_HEADER: Final = ",".join(COLUMNS)
_NAMESPACE: Final = UUID("7a4cd1a1-5f0e-4b5b-9d6c-6f5b5c0d8d11")


class WrongHeaderError(ValueError):
    """The file is no purchase log."""


class MalformedLineError(ValueError):
    """A line does not say what was bought."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a purchase log, as it stands in the file.

    Attributes:
        number: Counts from 1, the header included.
    """

    log_id: UUID
    number: int
    content: bytes

    @property
    def text(self) -> str:
        """What a person can read of the line, whatever its bytes are."""
        return self.content.decode(errors="backslashreplace")

    def to_command(self) -> RecordPurchase:
        """Return the command, which has the same id whenever this line of this file is read.

        Raises:
            MalformedLineError: The line is no purchase; the message says why.
        """
        values = self._values()
        return RecordPurchase(
            command_id=uuid5(self.log_id, str(self.number)),
            customer_id=values["customer_id"],
            purchased_on=_to_date(values["date"]),
            units=int(values["units"]),
            amount=Decimal(values["amount"]),
        )

    def _values(self) -> dict[str, str]:
        fields = self._fields()
        if len(fields) != len(COLUMNS):
            msg = f"{len(fields)} columns instead of {len(COLUMNS)}"
            raise MalformedLineError(msg)
        values = dict(zip(COLUMNS, fields, strict=True))
        for name, (pattern, otherwise) in COLUMNS.items():
            if not pattern.fullmatch(values[name]):
                msg = f"{name} {otherwise}: {values[name]!r}"
                raise MalformedLineError(msg)
        return values

    def _fields(self) -> list[str]:
        try:
            return next(csv.reader([self.content.decode()], strict=True), [])
        except UnicodeDecodeError as error:
            msg = f"not UTF-8 text: {error.reason} at byte {error.start}"
            raise MalformedLineError(msg) from error
        except csv.Error as error:
            raise MalformedLineError(str(error)) from error


class PurchaseLog:
    """The lines of a file.

    A line is known by the content of the file and its own number: lines that look alike are
    separate purchases, a copy of the file is the same log, and another file is another log,
    even under the same name.

    Raises:
        OSError: The file cannot be read.
        WrongHeaderError: The first line does not name the columns.
    """

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        header, *lines = content.rstrip().splitlines() or [b""]
        found = header.decode("utf-8-sig", errors="backslashreplace").rstrip()
        if found != _HEADER:
            msg = f"{path}: the first line must be {_HEADER!r}, not {found[:80]!r}"
            raise WrongHeaderError(msg)
        log_id = uuid5(_NAMESPACE, sha256(content).hexdigest())
        self.lines = tuple(Line(log_id, number, line) for number, line in enumerate(lines, 2))


def _to_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"date does not exist: {text!r}"
        raise MalformedLineError(msg) from error
