"""Benchmarks: symbreak and its peers side by side in one process, as ratios of medians. Run ``python -m benchmarks``."""
