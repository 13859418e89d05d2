"""A record store: a real purchase log through commands, aggregates, events and read models."""
