"""Commands for other bounded contexts: sent durably, handled once, answered when asked."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.commands.message import to_command_message
from cqrs_ddd_infrastructure_messaging.commands.receiver import CommandReceiver
from cqrs_ddd_infrastructure_messaging.commands.remote import RemoteCommandBus

__all__ = ["CommandReceiver", "RemoteCommandBus", "to_command_message"]
