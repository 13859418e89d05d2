"""The command that compares event schemas with their catalogue."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
import typer

from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
from cqrs_ddd_advanced_core.upcasting.__main__ import check_schemas
from cqrs_ddd_core.domain import DomainEvent, EventTypeRegistry


class OrderPlaced(DomainEvent):
    amount: Decimal


class Changed(DomainEvent):
    event_type: ClassVar[str] = "OrderPlaced"
    schema_version: ClassVar[int] = 2

    total: Decimal


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Somebody's module, in somebody's project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = ModuleType("shop")
    vars(module).update(registry=EventTypeRegistry([OrderPlaced]), upcasters=UpcasterRegistry())
    monkeypatch.setitem(sys.modules, "shop", module)
    return module


def _exit_code(*, upcasters: str | None = None, check: bool = False) -> int:
    try:
        check_schemas("shop:registry", Path("schemas"), upcasters, check=check)
    except typer.Exit as done:
        return done.exit_code
    return 0


def test_the_upcasters_make_a_new_version_pass(
    shop: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit_code() == 0
    vars(shop)["registry"] = EventTypeRegistry([Changed])
    assert _exit_code(upcasters="shop:upcasters") == 1
    assert "no class reads" in capsys.readouterr().err
    shop.upcasters.upcaster("OrderPlaced", source_version=1)(lambda data: data)
    assert _exit_code(upcasters="shop:upcasters") == 0
    assert capsys.readouterr().err.split() == ["written:", "schemas/OrderPlaced.v2.json"]
    assert _exit_code(upcasters="shop:upcasters", check=True) == 0
    assert capsys.readouterr().err == ""


def test_a_check_fails_when_the_catalogue_is_out_of_date_and_writes_nothing(
    shop: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit_code(check=True) == 1
    assert capsys.readouterr().err == "out of date: schemas/OrderPlaced.v1.json\n"
    assert not Path("schemas").exists()


def test_upcasters_with_a_gap_fail(shop: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    shop.upcasters.upcaster("OrderPlaced", source_version=2)(lambda data: data)
    assert _exit_code(upcasters="shop:upcasters") == 1
    assert "'OrderPlaced' version 1" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["shop:nothing", "nowhere:registry", "shop:upcasters", "?"])
def test_what_is_no_event_registry_is_a_mistake_of_the_caller(
    shop: ModuleType, target: str
) -> None:
    with pytest.raises(typer.BadParameter):
        check_schemas(target, Path("schemas"))


def _run(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-B", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_a_breaking_change_fails_with_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = (
        "from cqrs_ddd_core.domain import DomainEvent, EventTypeRegistry\n"
        "registry = EventTypeRegistry()\n"
        "@registry.register\n"
        "class OrderPlaced(DomainEvent):\n"
        "    {field}\n"
    )
    command = ("-m", "cqrs_ddd_advanced_core.upcasting", "myshop:registry", "schemas")
    Path("myshop.py").write_text(program.format(field="amount: int"))
    assert _run(*command) == (0, "written: schemas/OrderPlaced.v1.json\n")
    Path("myshop.py").write_text(program.format(field="lines: list[int]"))
    code, output = _run(*command)
    assert code == 1
    for part in ("OrderPlaced", "amount", "was removed", "is new, and required", "schema_version"):
        assert part in output


def test_without_its_extra_the_command_says_what_to_install() -> None:
    program = (
        "import sys, runpy; sys.modules['typer'] = None; "
        "runpy.run_module('cqrs_ddd_advanced_core.upcasting', run_name='__main__')"
    )
    code, output = _run("-c", program)
    assert code != 0
    assert "pip install 'cqrs-ddd-advanced-core[cli]'" in output
