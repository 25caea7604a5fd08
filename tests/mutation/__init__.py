"""Mutation testing: change a package in one place at a time, and see whether its tests notice.

`python -m tests.mutation streams` tries every mutant of `symbreak.streams` with `tests/streams`; CONTRIBUTING.md says
more.
"""
