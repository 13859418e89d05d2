"""Servers for the tests: from a URL, a container or a local binary, stopped at the end."""
