"""Give every test the servers it asks for; see tools/services."""

from __future__ import annotations

pytest_plugins = ["tools.services.pytest_plugin"]
