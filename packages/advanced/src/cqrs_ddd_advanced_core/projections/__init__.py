"""Read models that follow the events: projectors, the worker that carries them on, its policies."""

from __future__ import annotations
