from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tools.services.kind import Image, MissingServerError, ServerKind
from tools.services.local import LocalServer
from tools.services.redis import RedisServer
from tools.services.resolver import Services


class FakeServer:
    """Counts what is done to it."""

    def __init__(self, url: str, *, broken: bool = False) -> None:
        self.url = url
        self.broken = broken
        self.history: list[str] = []

    def start(self) -> None:
        self.history.append("start")
        if self.broken:
            raise RuntimeError("cannot start")

    def close(self) -> None:
        self.history.append("close")


class FakeRedis(FakeServer, RedisServer):
    """A local server without a process."""

    url = ""


def kind(find_local: Callable[[], LocalServer | None]) -> ServerKind:
    return ServerKind(
        name="redis",
        title="Redis",
        install="install Redis",
        example_url="redis://host",
        image=Image("redis:7", 6379, lambda host, port: "", lambda host, port: True),
        find_local=find_local,
    )


def services(
    *,
    local: FakeRedis | None = None,
    environ: Mapping[str, str] | None = None,
    engine: bool = False,
    images: list[Image] | None = None,
) -> Services:
    def container(image: Image) -> FakeServer:
        (images if images is not None else []).append(image)
        return FakeServer("redis://container")

    return Services(
        kinds=(kind(lambda: local),),
        environ=environ or {},
        engine_answers=lambda: engine,
        container=container,
    )


def test_a_given_url_wins_and_starts_nothing() -> None:
    local = FakeRedis("redis://local")
    found = services(local=local, environ={"CQRS_DDD_TEST_REDIS_URL": "redis://mine"}, engine=True)
    assert found.url("redis") == "redis://mine"
    assert local.history == []


def test_a_container_is_preferred_to_a_local_server() -> None:
    local, images = FakeRedis("redis://local"), list[Image]()
    found = services(local=local, engine=True, images=images)
    assert found.url("redis") == "redis://container"
    assert [image.reference for image in images] == ["redis:7"]
    assert local.history == []


def test_another_image_can_be_chosen() -> None:
    images = list[Image]()
    environ = {"CQRS_DDD_TEST_REDIS_IMAGE": "redis:8"}
    services(environ=environ, engine=True, images=images).url("redis")
    assert [image.reference for image in images] == ["redis:8"]


def test_a_local_server_is_started_once_and_closed_at_the_end() -> None:
    local = FakeRedis("redis://local")
    with services(local=local) as found:
        assert found.url("redis") == found.url("redis") == "redis://local"
        assert local.history == ["start"]
    assert local.history == ["start", "close"]


def test_nothing_is_started_before_it_is_asked_for() -> None:
    local = FakeRedis("redis://local")
    with services(local=local):
        pass
    assert local.history == []


def test_a_missing_server_is_noted_with_the_ways_to_get_it() -> None:
    found = services()
    with pytest.raises(MissingServerError, match="Redis is missing: install Redis"):
        found.url("redis")
    assert "CQRS_DDD_TEST_REDIS_URL=redis://host" in found.missing["Redis"]


def test_a_server_that_fails_to_start_is_cleaned_up() -> None:
    local = FakeRedis("redis://local", broken=True)
    with services(local=local) as found, pytest.raises(RuntimeError, match="cannot start"):
        found.url("redis")
    assert local.history == ["start", "close"]
