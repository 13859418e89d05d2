"""Loyalty points: a service of its own, fed by what the record store announces."""
