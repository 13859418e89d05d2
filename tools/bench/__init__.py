"""Benchmarks: this toolkit beside the raw driver, interleaved in one run, as ratios."""
