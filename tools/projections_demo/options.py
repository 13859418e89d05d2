"""The command line."""

from __future__ import annotations

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from random import SystemRandom

from tools.messaging_demo.processes import EXAMPLES


class Options(Namespace):
    """What was asked for."""

    input: Path
    events: int
    lines: int
    kills: int
    seed: int
    folder: Path


def parse_options() -> Options:
    """Return the options, or end the program with a usage message."""
    parser = ArgumentParser(
        "demo-projections",
        description="Rebuild the read models of a long past beside those that serve, while "
        "purchases keep arriving and processes are killed, and compare with a fold of all events.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    log = EXAMPLES / "record_store" / "data" / "cdnow_sample.csv"
    parser.add_argument("--input", type=Path, default=log, help="purchase log, a CSV file")
    parser.add_argument(
        "--events", type=_positive, default=1_000_000, help="how long the past is; made of the log"
    )
    parser.add_argument(
        "--lines",
        type=int,
        default=0,
        help="the shop sells so many lines of the log, again and again; 0 for all",
    )
    parser.add_argument("--kills", type=int, default=8, help="how often a process is killed")
    parser.add_argument(
        "--seed",
        type=int,
        default=SystemRandom().randrange(10**6),
        help="the same past and the same kills again",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("demo-output/projections"), help="for files and logs"
    )
    return parser.parse_args(namespace=Options())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{number} is not a positive number")
    return number
