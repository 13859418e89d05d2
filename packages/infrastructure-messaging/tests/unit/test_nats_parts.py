"""What can be said of NATS without a server."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MissingExtraError
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging._slots import SLOTS
from cqrs_ddd_infrastructure_messaging.nats import NATSConnection, NATSSettings, NATSTopology
from cqrs_ddd_infrastructure_messaging.routing import topic_matches

MALFORMED = ["nats://user:s3cret#@host", "amqp://user:s3cret@host", "s3cret", "nats://u:s3cret@h:x"]

_WORDS = st.sampled_from(["orders", "placed", "a-b", "x_1"])
_TOPICS = st.lists(_WORDS, min_size=1, max_size=4).map(".".join)
_PATTERNS = st.lists(_WORDS | st.sampled_from(["*", "#"]), min_size=1, max_size=4).map(".".join)


def _takes(subject_filter: str, subject: str) -> bool:
    """Whether NATS counts a subject to a filter: `*` is one word, `>` one or more at the end."""
    words, wanted = subject.split("."), subject_filter.split(".")
    if wanted[-1] == ">":
        return len(words) >= len(wanted) and _fit(wanted[:-1], words)
    return len(words) == len(wanted) and _fit(wanted, words)


def _fit(wanted: list[str], words: list[str]) -> bool:
    return all(a in ("*", b) for a, b in zip(wanted, words, strict=False))


@given(_TOPICS, _PATTERNS)
def test_a_filter_takes_at_least_what_its_pattern_asks_for(topic: str, pattern: str) -> None:
    topology = NATSTopology()
    subject = topology.subject(topic, new_message())
    assert topology.topic_in(subject) == topic
    place, _ = topology.durables("billing", [pattern], partitions=0, prefetch=10)
    if topic_matches(pattern, topic):
        assert _takes(place.filter_subject or "", subject)


@pytest.mark.parametrize("partitions", [1, 2, 4, 8, 16, SLOTS])
def test_each_stream_belongs_to_one_partition(partitions: int) -> None:
    topology = NATSTopology()
    *places, again = topology.durables("billing", ["a.b"], partitions=partitions, prefetch=10)
    assert len({place.durable_name for place in places}) == len(places) == partitions
    used = set[str]()
    for number in range(200):
        subject = topology.subject("a.b", new_message(f"Order-{number}"))
        [owner] = [one for one in places if _takes(one.filter_subject or "", subject)]
        used.add(owner.durable_name or "")
    assert len(used) == partitions
    assert {place.max_ack_pending for place in (*places, again)} == {1}


@pytest.mark.parametrize("partitions", [-1, 3, 33, 64])
def test_partitions_are_a_power_of_two(partitions: int) -> None:
    with pytest.raises(ConfigurationError, match="partitions"):
        NATSTopology().durables("billing", ["a"], partitions=partitions, prefetch=10)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", "x" * 61, "ü"])
def test_a_consumer_is_named_by_one_word(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a consumer"):
        NATSTopology().again_subject(name)


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        NATSConnection(url)
    assert "s3cret" not in str(caught.value)


def test_a_connection_shows_no_secrets() -> None:
    connection = NATSConnection("nats://user:s3cret@one:4222,tls://t0ken@[::1]")
    assert str(connection) == "cqrs-ddd at nats://one:4222,tls://[::1]"
    assert "s3cret" not in repr(connection)
    assert "t0ken" not in repr(connection)


@pytest.mark.parametrize(
    "changes",
    [
        {"prefix": "a.b"},
        {"prefix": ""},
        {"replicas": 0},
        {"max_bytes": 0},
        {"delivery_limit": 0},
        {"ack_wait": 0},
        {"publish_timeout": 0},
        {"duplicate_window": 0},
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        NATSSettings(**changes)  # type: ignore[arg-type]


def test_without_the_driver_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rooms = "cqrs_ddd_infrastructure_messaging.nats"
    for name in [*sys.modules]:
        if name == "nats" or name.startswith(("nats.", rooms)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(MissingExtraError, match=r"cqrs-ddd-infrastructure-messaging\[nats\]"):
        __import__(rooms)
