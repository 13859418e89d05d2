"""A bank whose accounts are their events: what they say, what they said, and why."""
