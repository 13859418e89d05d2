"""Scripts that `make` and CI call; no library code."""
