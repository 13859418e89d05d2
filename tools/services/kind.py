"""What the resolver has to know about one kind of server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tools.services.local import LocalServer


class MissingServerError(LookupError):
    """There is no server of this kind here, and nobody gave us one."""

    def __init__(self, title: str, hint: str) -> None:
        """Say which server it is and how to get it."""
        super().__init__(f"{title} is missing: {hint}")
        self.title = title
        self.hint = hint


@dataclass(frozen=True)
class Image:
    """How to run the server as a container, and when it is ready."""

    reference: str
    port: int
    url: Callable[[str, int], str]
    ready: Callable[[str, int], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class ServerKind:
    """One kind of server: how to find it, run it, and tell where to get it."""

    name: str
    title: str
    install: str
    example_url: str
    image: Image
    find_local: Callable[[], LocalServer | None]

    @property
    def url_variable(self) -> str:
        """The variable that points the tests to a server of the user's."""
        return f"CQRS_DDD_TEST_{self.name.upper()}_URL"

    @property
    def image_variable(self) -> str:
        """The variable that chooses another container image, to test another version."""
        return f"CQRS_DDD_TEST_{self.name.upper()}_IMAGE"

    @property
    def hint(self) -> str:
        """The ways to get this server."""
        return f"{self.install}; or start Docker; or set {self.url_variable}={self.example_url}"
