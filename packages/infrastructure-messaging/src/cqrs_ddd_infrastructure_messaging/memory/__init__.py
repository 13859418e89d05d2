"""A broker in memory, for tests of programs that use messages."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.memory.dead_letters import InMemoryDeadLetters

__all__ = ["InMemoryDeadLetters"]
