"""Ports of event sourcing and undo: what an adapter has to offer."""
