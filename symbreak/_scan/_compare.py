"""Weights that are the same in several files: members of an ensemble that are copies, seeds that were ignored."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from symbreak.diagnosis import find_ties, unit_axes
from symbreak.findings import Finding
from symbreak.reports import Report, visible

from ._judge import UNREADABLE, unread

if TYPE_CHECKING:
    from symbreak.checkpoints import Checkpoint

LISTED = 5  # names in a message before it is cut short


def compare(paths: Sequence[str | os.PathLike[str]]) -> Report:
    """Find weights that several files hold under one name, equal in every value (SB401).

    Parameters
    ----------
    paths
        The files. What `diagnose` judges is read once more, and what it says is not said again.

    Returns
    -------
    Report
        One finding for each set of files that hold the same weights. A weight counts if it has axes of units and is
        not constant along one of them: zeros, and the ones of norms, are what every start has. What can't be read is
        among the skipped of `diagnose`, and only of a file that can't be opened here is it said again.

    Notes
    -----
    Values are compared by their 256-bit BLAKE2 digests, as they are stored, with the shape and the dtype.
    """
    from symbreak.checkpoints import open_checkpoint

    holders: dict[tuple[str, bytes], list[str]] = {}
    counts: dict[str, int] = {}
    faults = []
    for path in [os.fspath(each) for each in paths]:
        try:
            with open_checkpoint(path) as checkpoint:
                for key in _keys(checkpoint):
                    holders.setdefault(key, []).append(path)
                    counts[path] = counts.get(path, 0) + 1
        except UNREADABLE as error:
            faults.append(unread(path, error))
    shared: dict[tuple[str, ...], list[str]] = {}
    for (name, _), files in holders.items():
        if len(files) > 1:
            shared.setdefault(tuple(files), []).append(name)
    findings = tuple(_finding(files, names, counts) for files, names in shared.items())
    return Report.merged([Report(findings), *faults])


def _keys(checkpoint: "Checkpoint") -> Iterator[tuple[str, bytes]]:
    """Yield (name, digest) of every weight that a start draws at random."""
    import hashlib  # loads OpenSSL

    for name, info in checkpoint.tensors.items():
        if not unit_axes(info.shape):
            continue
        try:
            if _is_constant(checkpoint, name):
                continue
            digest = hashlib.blake2b(f"{info.shape} {info.dtype.newbyteorder('=').name}".encode(), digest_size=32)
            for block in checkpoint.pieces(name):
                native = block.astype(block.dtype.newbyteorder("="), copy=False)
                digest.update(np.ascontiguousarray(native).reshape(-1).view(np.uint8).data)
        except UNREADABLE:
            continue  # `diagnose` reports it
        yield name, digest.digest()


def _is_constant(checkpoint: "Checkpoint", name: str) -> bool:
    """Whether all units along one axis are equal; a few values tell it of most weights."""
    array = checkpoint[name]
    for axis in unit_axes(array.shape):
        units = np.moveaxis(array, axis, 0)
        if not find_ties(units[:2]).labels.any() and not find_ties(units).labels.any():
            return True
    return False


def _finding(files: tuple[str, ...], names: list[str], counts: dict[str, int]) -> Finding:
    every = all(counts[file] == len(names) for file in files)
    listed = ", ".join(visible(name) for name in names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    what = f"all {len(names)} weights" if every and len(names) > 1 else f"{len(names)} weights"
    what = "1 weight" if len(names) == 1 else what
    verb = "is" if len(names) == 1 else "are"
    return Finding.of("SB401", ", ".join(files), f"{what} {verb} the same in {len(files)} files: {listed}")
