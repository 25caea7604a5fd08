"""Fuzzing, which runs by name: ``python -m tests.fuzz.checkpoints --seconds 600``."""
