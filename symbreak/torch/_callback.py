"""`MonitorCallback`: the monitor for the Trainer of transformers, which it logs through."""

from typing import Any, final

from symbreak._monitor import EVERY

from ._monitor import Monitor

try:
    from transformers import TrainerCallback  # type: ignore[import-not-found,unused-ignore]
except ImportError as error:
    raise ImportError("symbreak.torch.MonitorCallback needs transformers: pip install transformers") from error


@final
class MonitorCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Count the distinct and the dead units of a model that a ``transformers.Trainer`` trains.

    Parameters
    ----------
    every
        Optimizer steps from one look to the next.
    log
        As for `Monitor`, beside the record and what the Trainer logs to.
    activations
        As for `Monitor`.

    Attributes
    ----------
    monitor
        The `Monitor`, once training has begun.

    Examples
    --------
    >>> import symbreak.torch
    >>> callback = symbreak.torch.MonitorCallback(every=50)  # Trainer(..., callbacks=[callback])
    """

    def __init__(self, *, every: int = EVERY, log: object = None, activations: bool = True) -> None:
        self.monitor: Monitor | None = None
        self._options: dict[str, Any] = {"every": every, "log": log, "activations": activations}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Begin to watch the model."""
        self.monitor = Monitor(model, **self._options)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count a step."""
        if self.monitor is not None:
            self.monitor.step()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Add the totals to what the Trainer logs."""
        if self.monitor is None or not self.monitor.latest:
            return
        rows = self.monitor.latest.values()
        totals = {"tied_units": sum(row.units - row.distinct for row in rows), "dead_units": sum(r.dead for r in rows)}
        for record in (logs, *state.log_history[-1:]):  # the Trainer has written its record before it asks
            if isinstance(record, dict):
                record |= totals

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the hooks off."""
        if self.monitor is not None:
            self.monitor.close()
