"""The command line."""

from __future__ import annotations

from argparse import (
    SUPPRESS,
    ArgumentDefaultsHelpFormatter,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
)
from pathlib import Path

__all__ = ["Options", "parse_options"]

_SAMPLE = Path(__file__).parent / "data" / "cdnow_sample.csv"
_OUTPUT = Path("demo-output")


class Options(Namespace):
    """What was asked for."""

    input: Path
    database_url: str = ""
    event_sourced: bool
    announce: bool
    rejects: Path
    chart: Path
    every: int


def parse_options(arguments: list[str] | None = None) -> Options:
    """Return the options, or end the program with a usage message."""
    parser = ArgumentParser(
        "record_store",
        description="Take in a purchase log and show what was sold. "
        "Running it again, even after it was killed, changes nothing that is in already.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--input", type=Path, default=_SAMPLE, help="purchase log, a CSV file")
    parser.add_argument(
        "--database-url",
        default=SUPPRESS,
        help="where to keep everything: sqlite:///file or postgresql://user@host/name; "
        f"a file in {_OUTPUT}/ if not given",
    )
    parser.add_argument(
        "--event-sourced",
        action="store_true",
        help="keep customers and purchases as their events, without documents",
    )
    parser.add_argument(
        "--announce",
        action="store_true",
        help="queue an announcement of each purchase for other services, instead of the events",
    )
    parser.add_argument(
        "--rejects", type=Path, default=_OUTPUT / "rejects.csv", help="file for refused lines"
    )
    parser.add_argument(
        "--chart", type=Path, default=_OUTPUT / "revenue.svg", help="file for revenue by month"
    )
    parser.add_argument(
        "--every", type=_positive, default=1000, help="lines per report, without a terminal"
    )
    options = parser.parse_args(arguments, namespace=Options())
    options.database_url = options.database_url or _default_database(options)
    return options


def _default_database(options: Options) -> str:
    # Each way has a file of its own, so that there is something to do in both.
    name = "event_sourced.db" if options.event_sourced else "record_store.db"
    return f"sqlite:///{_OUTPUT / name}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"{number} is not a positive number"
        raise ArgumentTypeError(msg)
    return number
