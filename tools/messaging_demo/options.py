"""The command line."""

from __future__ import annotations

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from pathlib import Path
from random import SystemRandom

from tools.messaging_demo.processes import EXAMPLES


class Options(Namespace):
    """What was asked for."""

    input: Path
    lines: int
    kills: int
    cuts: int
    seed: int
    folder: Path


def parse_options() -> Options:
    """Return the options, or end the program with a usage message."""
    parser = ArgumentParser(
        "demo-messaging",
        description="Take in a purchase log in one process, publish it in two, count points in "
        "another, kill them all at random, and tell what was lost.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    log = EXAMPLES / "record_store" / "data" / "cdnow_sample.csv"
    parser.add_argument("--input", type=Path, default=log, help="purchase log, a CSV file")
    parser.add_argument("--lines", type=int, default=0, help="so many purchases of it; 0 for all")
    parser.add_argument("--kills", type=int, default=10, help="how often a process is killed")
    parser.add_argument("--cuts", type=int, default=4, help="how often the network fails")
    parser.add_argument(
        "--seed", type=int, default=SystemRandom().randrange(10**6), help="the same faults again"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("demo-output/messaging"), help="for files and logs"
    )
    return parser.parse_args(namespace=Options())
