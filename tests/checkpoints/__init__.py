"""Tests of the readers and the writer of saved weights."""
