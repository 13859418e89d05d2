"""How a purchase log is read."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from record_store.purchase_log import Line, MalformedLineError, PurchaseLog, WrongHeaderError

HEADER = b"customer_id,sample_id,date,units,amount\r\n"
ROW = b"00004,0001,1997-01-01,2,29.33\r\n"


def ids(path: Path, content: bytes) -> list[UUID]:
    path.write_bytes(content)
    return [line.to_command().command_id for line in PurchaseLog(path).lines]


def line(content: bytes) -> Line:
    return Line(UUID(int=1), 2, content)


def test_a_line_becomes_a_command() -> None:
    command = line(b"00004,0001,1997-01-01,2,29.33").to_command()

    assert command.customer_id == "00004"
    assert command.purchased_on == date(1997, 1, 1)
    assert command.units == 2
    assert command.amount == Decimal("29.33")


def test_a_copy_of_the_file_is_the_same_log(tmp_path: Path) -> None:
    assert ids(tmp_path / "a.csv", HEADER + ROW) == ids(tmp_path / "b.csv", HEADER + ROW)


def test_another_file_of_the_same_name_is_another_log(tmp_path: Path) -> None:
    first = ids(tmp_path / "a.csv", HEADER + ROW)

    assert not set(first) & set(ids(tmp_path / "a.csv", HEADER + ROW + ROW))


def test_lines_that_look_alike_are_separate_purchases(tmp_path: Path) -> None:
    assert len(set(ids(tmp_path / "a.csv", HEADER + ROW * 3))) == 3


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n\n\n"])
def test_empty_lines_at_the_end_are_no_lines(tmp_path: Path, end: bytes) -> None:
    assert len(ids(tmp_path / "a.csv", HEADER + ROW + end)) == 1


def test_lines_are_counted_with_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + ROW + b"\r\n" + ROW)

    assert [line.number for line in PurchaseLog(path).lines] == [2, 3, 4]


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", ROW, b"id,date\r\n" + ROW, b"\xff\xfe" + HEADER, HEADER[4:]]
)
def test_a_file_without_the_header_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    with pytest.raises(WrongHeaderError, match="the first line must be"):
        PurchaseLog(path)


def test_a_byte_order_mark_before_the_header_does_no_harm(tmp_path: Path) -> None:
    assert len(ids(tmp_path / "a.csv", b"\xef\xbb\xbf" + HEADER + ROW)) == 1


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "0 columns instead of 5"),
        (b"00004,0001,1997-01-01,2", "4 columns instead of 5"),
        (b"00004,0001,1997-01-01,2,29.33,", "6 columns instead of 5"),
        (b",0001,1997-01-01,2,29.33", "customer_id is not an id"),
        (b"00\x0004,0001,1997-01-01,2,29.33", "customer_id is not an id"),
        (b"00004,0001,01/31/1997,2,29.33", "date is not a date"),
        (b"00004,0001,19970131,2,29.33", "date is not a date"),
        (b"00004,0001,1997-02-30,2,29.33", "date does not exist"),
        (b"00004,0001,0000-01-01,2,29.33", "date does not exist"),
        (b"00004,0001,1997-01-01,two,29.33", "units is not a whole number"),
        (b"00004,0001,1997-01-01,2.5,29.33", "units is not a whole number"),
        (b"00004,0001,1997-01-01,9999999999,29.33", "units is not a whole number"),
        ("00004,0001,1997-01-01,\u0662,29.33".encode(), "units is not a whole number"),
        (b"00004,0001,1997-01-01,2,", "amount is not an amount"),
        (b"00004,0001,1997-01-01,2,29.333", "amount is not an amount"),
        (b"00004,0001,1997-01-01,2,NaN", "amount is not an amount"),
        (b"00004,0001,1997-01-01,2,1e3", "amount is not an amount"),
        (b"00004,0001,1997-01-01,2,caf\xe9", "not UTF-8 text: .* at byte 27"),
        (b'00004,0001,1997-01-01,2,"29.33', "unexpected end of data"),
        (b"4" * 200_000 + b",0001,1997-01-01,2,29.33", "field larger than field limit"),
    ],
)
def test_a_malformed_line_says_what_is_wrong(content: bytes, reason: str) -> None:
    with pytest.raises(MalformedLineError, match=reason):
        line(content).to_command()


def test_a_line_of_any_bytes_can_be_shown() -> None:
    assert line(b"caf\xe9").text == r"caf\xe9"
