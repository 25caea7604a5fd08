"""Keras' `.keras` archives: a zip file of a configuration, notes, and an HDF5 file of the weights.

The configuration is data: the names of the layers come from it, and nothing in it is made or called. Keras stores the
HDF5 file without compression, so it is read where it lies; one that was packed later is unpacked to a nameless file.
"""

import os
from collections.abc import Mapping

from symbreak._visible import quoted
from symbreak.checkpoints._hdf5 import Hdf5, parse_config
from symbreak.checkpoints._hdf5_file import Hdf5File
from symbreak.checkpoints._json import LARGEST
from symbreak.checkpoints._keras_names import variable_names
from symbreak.checkpoints._reader import Checkpoint, Skipped
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import Spooled
from symbreak.checkpoints._zip import STORED, USUAL_EXPANSION, Archive, Member

WEIGHTS, CONFIG, NOTES = "model.weights.h5", "config.json", "metadata.json"
ASSETS = "assets/"  # vocabularies and the like


def holds_keras(names: set[str]) -> bool:
    """Whether a zip file of these members is such an archive, or the beginning of one that is cut off."""
    return WEIGHTS in names or (bool(names) and names <= {CONFIG, NOTES})


def read_keras(source: Source) -> Checkpoint:
    """Open a `.keras` archive."""
    archive = Archive(source)
    if WEIGHTS not in archive.members:
        raise source.bad(f"it has no {WEIGHTS}, where Keras puts the weights")
    skipped = [
        Skipped(name, "a part of the archive that Keras does not write")
        for name, member in archive.members.items()
        if name not in (WEIGHTS, CONFIG, NOTES)
        and not name.startswith(ASSETS)
        and not (name.endswith("/") and not member.size)
    ]
    config, faults = _json(archive, CONFIG)
    notes, others = _json(archive, NOTES)
    file, spooled = _weights(archive, archive.members[WEIGHTS])
    try:
        metadata = {name: str(value) for name, value in notes.items() if isinstance(value, str | int | float)}
        return Hdf5(
            file, "keras", variable_names(file, config), [*faults, *others, *skipped], metadata, config, spooled=spooled
        )
    except BaseException:
        file.close()
        if spooled is not None:
            spooled.close()
        raise


def _json(archive: Archive, name: str) -> tuple[Mapping[str, object], list[Skipped]]:
    """Return what a member says, or why it can't be read."""
    member = archive.members.get(name)
    if member is None:
        return {}, [
            Skipped(name, "the archive does not have it; layers bear automatic names")
        ] if name == CONFIG else []
    if member.size > LARGEST or (member.size > LARGEST // 100 and member.size > USUAL_EXPANSION * member.packed):
        return {}, [Skipped(name, f"it would unpack from {member.packed:,} to {member.size:,} bytes")]
    return parse_config(archive.source, bytes(archive.data(member)), name)


def _weights(archive: Archive, member: Member) -> tuple[Hdf5File, Spooled | None]:
    """Open the HDF5 file where it lies, or in a nameless file if it is packed."""
    source = archive.source
    if member.method == STORED:
        return Hdf5File(source, begin=member.begin, size=member.size, data=lambda: archive.data(member)), None
    if os.name != "posix":
        raise source.bad(f"{quoted(member.name)} is packed, which is read on other systems only", "store it")
    spooled = Spooled(source, archive.unpacked(member), member.size, quoted(member.name))
    try:
        return Hdf5File(source, size=member.size, data=lambda: spooled.data, opened=spooled.reopen), spooled
    except BaseException:
        spooled.close()
        raise
