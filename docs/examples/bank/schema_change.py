"""The second release counts in euros and keeps a note; what the first one stored stays as it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cqrs_ddd_advanced_core.upcasting import EventUpcaster, UpcasterRegistry

__all__ = ["upcasters"]


class CentsToEuros(EventUpcaster):
    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"amount": Decimal(data["cents"]).scaleb(-2), "note": ""}


class DepositedInEuros(CentsToEuros):
    event_type = "MoneyDeposited"
    source_version = 1


class WithdrawnInEuros(CentsToEuros):
    event_type = "MoneyWithdrawn"
    source_version = 1


def upcasters() -> UpcasterRegistry:
    registry = UpcasterRegistry()
    registry.register(DepositedInEuros())
    registry.register(WithdrawnInEuros())
    return registry
