"""Benchmarks: symbreak beside its peers in one process, as ratios of medians. Run ``python -m benchmarks``."""
