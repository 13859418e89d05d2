"""A broker's address, and how to name it without its secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["BrokerURL"]

_NO_VERIFICATION = "no_verify_ssl"


@dataclass(frozen=True, slots=True)
class BrokerURL:
    """Where a broker is and who we are; only the broker and the user are ever shown.

    Attributes:
        full: With the password.
        shown: For people.
        is_secure: Whether it is reached through TLS.
    """

    full: str = field(repr=False)
    shown: str
    is_secure: bool

    @classmethod
    def parse(cls, url: str) -> BrokerURL:
        """Check an address.

        Raises:
            ConfigurationError: It is no AMQP address, or it turns the verification of TLS off.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
            parts = urlsplit("")
        if parts.scheme not in ("amqp", "amqps") or not host or parts.fragment:
            # Not quoted: whatever is wrong with it, there may be a password in it.
            msg = (
                "the broker's address is not like amqp://user:password@host:5672/ or amqps://...; "
                "characters such as '@', '/' and '#' of a password are percent-encoded"
            )
            raise ConfigurationError(msg)
        if parse_qs(parts.query).get(_NO_VERIFICATION, ["0"]) != ["0"]:
            msg = (
                f"{_NO_VERIFICATION} would let anybody pose as the broker; "
                "give an ssl_context that trusts its certificate instead"
            )
            raise ConfigurationError(msg)
        where = f"[{host}]" if ":" in host else host
        user = f"{parts.username}@" if parts.username else ""
        shown = f"{parts.scheme}://{user}{where}{f':{port}' if port else ''}{parts.path}"
        return cls(url, shown, parts.scheme == "amqps")

    def __str__(self) -> str:
        return self.shown
