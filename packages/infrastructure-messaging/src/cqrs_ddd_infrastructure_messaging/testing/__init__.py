"""Prove a transport: the suite that every transport passes, beside those of core's ports."""

from __future__ import annotations

from cqrs_ddd_core.primitives.exceptions import MissingExtraError as _MissingExtraError

try:
    import pytest
except ImportError as _error:
    raise _MissingExtraError(
        "the conformance suites", "cqrs-ddd-infrastructure-messaging", "testing"
    ) from _error

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("dead_letters", "delivery", "faults", "transport"))
)

# ruff: noqa: E402 - the suites are imported after the rewrite is registered
from cqrs_ddd_infrastructure_messaging.testing.subject import (
    ROUTES,
    ConsumerFactory,
    TransportSubject,
)
from cqrs_ddd_infrastructure_messaging.testing.transport import TransportConformance

__all__ = ["ROUTES", "ConsumerFactory", "TransportConformance", "TransportSubject"]
