from __future__ import annotations

import pytest

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, UnknownEventTypeError
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder


def test_each_failure_takes_the_next_step_until_there_is_none() -> None:
    ladder = RetryLadder(delays=(0.5, 2.0))
    assert [ladder.delay_after(n, RuntimeError()) for n in (1, 2, 3, 4)] == [0.5, 2.0, None, None]
    assert ladder.max_attempts == 3


def test_without_steps_a_message_is_tried_once() -> None:
    ladder = RetryLadder(delays=())
    assert ladder.delay_after(1, RuntimeError()) is None
    assert ladder.max_attempts == 1


@pytest.mark.parametrize(
    "error", [MalformedMessageError("no"), UnknownEventTypeError("OrderPlaced")]
)
def test_what_no_try_will_heal_is_given_up_at_once(error: Exception) -> None:
    assert RetryLadder().delay_after(1, error) is None


def test_other_errors_can_be_declared_hopeless() -> None:
    ladder = RetryLadder(hopeless=(LookupError,))
    assert ladder.delay_after(1, KeyError()) is None
    assert ladder.delay_after(1, MalformedMessageError("no")) == 1.0


@pytest.mark.parametrize("delay", [0, -1.0, 0.0001, 605_000.0])
def test_delays_no_broker_can_keep_are_refused(delay: float) -> None:
    with pytest.raises(ConfigurationError, match="to 604800 seconds"):
        RetryLadder(delays=(1.0, delay))
