"""The program from its command line to its last line."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from record_store import __file__ as package_file
from record_store.tests.program import Program, last_line

SAMPLE = Path(package_file).parent / "data" / "cdnow_sample.csv"
LAST_LINE = "customers=2357 purchases=6919 units=16479 revenue=244091.94 events=9276 outbox=9276"
FAULTY = b"""customer_id,sample_id,date,units,amount
00004,0001,1997-01-18,2,29.73
00004,0001,1997-01-18,2,29.73
00004,0001,1997-08-02,1,0.00
00004,0001,1997-08-02,1
00004,0001,1997-08-02,one,14.96
00004,0001,1997-08-32,1,14.96
00004,0001,1997-08-02,1,caf\xe9
00004,0001,1997-01-17,1,14.96
00004,0001,9999-01-01,1,14.96
00018,0002,1997-01-04,-1,14.96
00018,0002,1997-01-04,1,-14.96

00021,0003,1997-01-01,2,63.34


"""


@pytest.mark.slow
def test_the_sample_ends_with_its_totals_however_often_it_is_run(program: Program) -> None:
    first = program.run()
    copy = shutil.copy(SAMPLE, program.folder / "copy.csv")
    again = program.run("--input", str(copy))

    assert last_line(first) == LAST_LINE
    assert "6,919 recorded, 0 known already, 0 rejected" in first.stdout
    assert last_line(again) == LAST_LINE
    assert "0 recorded, 6,919 known already, 0 rejected" in again.stdout


@pytest.mark.slow
def test_the_sample_ends_with_the_same_totals_when_aggregates_are_events(
    event_sourced: Program,
) -> None:
    first = event_sourced.run()
    again = event_sourced.run()

    assert last_line(first) == LAST_LINE
    assert "6,919 recorded, 0 known already, 0 rejected" in first.stdout
    assert last_line(again) == LAST_LINE
    assert "0 recorded, 6,919 known already, 0 rejected" in again.stdout


def test_faulty_lines_are_reported_and_the_others_processed(program: Program) -> None:
    log, rejects = program.folder / "log.csv", program.folder / "out" / "rejects.csv"
    log.write_bytes(FAULTY)

    result = program.run("--input", str(log), "--rejects", str(rejects))

    assert last_line(result) == ("customers=2 purchases=4 units=7 revenue=122.80 events=6 outbox=6")
    assert "4 recorded, 0 known already, 9 rejected" in result.stdout
    assert "line 5 rejected: 4 columns instead of 5" in result.stdout
    with rejects.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [int(reject["line"]) for reject in found] == [5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert found[3]["reason"].startswith("not UTF-8 text")
    assert found[3]["text"] == r"00004,0001,1997-08-02,1,caf\xe9"
    assert found[4]["reason"] == "1997-01-17 is before customer 00004 joined on 1997-01-18"


@pytest.mark.slow
def test_two_runs_at_once_share_the_work(program: Program) -> None:
    header, *lines = SAMPLE.read_bytes().splitlines(keepends=True)
    empty, log = program.folder / "empty.csv", program.folder / "log.csv"
    empty.write_bytes(header)
    log.write_bytes(b"".join([header, *lines[:400]]))
    program.run("--input", str(empty))

    with program.start("--input", str(log)) as other:
        mine = program.run("--input", str(log))
        output, _ = other.communicate()

    assert last_line(mine) == output.splitlines()[-1]
    recorded = [int(n) for n in re.findall(r"(\d+) recorded", mine.stdout + output)]
    assert sum(recorded) == 400


def test_a_run_that_rejects_everything_still_reports(sqlite_program: Program) -> None:
    log = sqlite_program.folder / "log.csv"
    log.write_bytes(FAULTY.splitlines(keepends=True)[0] + b"nothing\n")

    result = sqlite_program.run("--input", str(log))

    assert last_line(result) == "customers=0 purchases=0 units=0 revenue=0.00 events=0 outbox=0"


def test_the_chart_shows_each_month(sqlite_program: Program) -> None:
    log, chart = sqlite_program.folder / "log.csv", sqlite_program.folder / "chart.svg"
    log.write_bytes(FAULTY)

    last_line(sqlite_program.run("--input", str(log), "--chart", str(chart)))

    titles = ET.parse(chart).iter("{http://www.w3.org/2000/svg}title")  # noqa: S314 - our own
    assert [title.text for title in titles] == ["1997-01: $122.80", "1997-08: $0.00"]


def test_without_paths_everything_goes_into_one_folder(tmp_path: Path) -> None:
    program = Program("", tmp_path)
    log = tmp_path / "log.csv"
    log.write_bytes(FAULTY)

    last_line(program.run("--input", str(log)))

    written = {path.name for path in (tmp_path / "demo-output").iterdir()}
    assert written == {"record_store.db", "rejects.csv", "revenue.svg"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--input", "missing.csv"], "missing.csv"),
        (["--input", "other.csv"], "other.csv: the first line must be"),
        (["--database-url", "mysql://localhost/x"], "'mysql' is not supported"),
        (["--database-url", "nonsense"], "Could not parse SQLAlchemy URL"),
        (["--database-url", "postgresql://nobody:secret@127.0.0.1:1/x"], "record_store: "),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    sqlite_program: Program, arguments: list[str], message: str
) -> None:
    (sqlite_program.folder / "other.csv").write_text("id,name\n")

    result = sqlite_program.run(*arguments)

    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.stderr
