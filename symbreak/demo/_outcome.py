"""What a run came to: its file, and what the diagnostic reads in it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import final

from symbreak._api import diagnose
from symbreak.checkpoints import save_safetensors
from symbreak.reports import Report

from ._files import MAKER
from ._training import Run

HIDDEN_WEIGHT = "layers.0.weight"


@final
@dataclass(frozen=True, eq=False)
class Outcome:
    """A run, the file that it was saved to, and the diagnosis of that file.

    Attributes
    ----------
    run
        The run.
    path
        The file.
    report
        What `diagnose` says of it.
    """

    run: Run
    path: Path
    report: Report

    @property
    def units(self) -> int:
        """How many hidden units there are."""
        return len(self._classes)

    @property
    def distinct(self) -> int:
        """How many hidden units differ in their incoming weights: the classes that the diagnostic found."""
        return len(set(self._classes))

    @property
    def _classes(self) -> list[int]:
        labels: list[int] = self.report.partition[f"{os.fspath(self.path)}: {HIDDEN_WEIGHT}, axis 0"].tolist()
        return labels


def save_and_judge(run: Run, path: Path) -> Outcome:
    """Save a run as safetensors, and have the diagnostic read the file.

    Raises
    ------
    OSError
        The file can't be written; what was there is as it was.
    """
    notes = {"made_by": MAKER, "start": run.start.name, "seed": str(run.seed), "steps": str(run.steps[-1])}
    save_safetensors(path, run.parameters, notes)
    return Outcome(run, path, diagnose(path))
