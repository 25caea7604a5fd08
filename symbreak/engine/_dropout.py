"""Dropout: noise that is drawn for each unit apart, and so breaks ties that nothing else in training breaks."""

from typing import Any, ClassVar, final

from symbreak.streams import Stream

from ._checks import as_share
from ._exact import exactly
from ._layers import AbstractLayer, Array, Backward, Run
from ._wiring import Wire, Wiring


@final
class Dropout(AbstractLayer):
    """While training, set each value to zero with probability `rate`, and divide the others by ``1 - rate``.

    Which ones are dropped is drawn anew for every row, position and unit at every step, and follows from the run's key
    and the name of the layer. At rest it changes nothing.

    Parameters
    ----------
    rate
        The probability that a value is dropped, 0 or more and below 1.

    Raises
    ------
    ValueError
        A rate out of range; or, when it runs while training, no key to draw from.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov. "Dropout: a simple way to prevent neural networks from
    overfitting". JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network({"hidden": engine.Dense(np.eye(4)), "drop": engine.Dropout(0.5)})
    >>> x = np.ones((2, 4))
    >>> engine.gradients(net, x, x, rng=0).activations["drop"]
    array([[2., 2., 0., 0.],
           [0., 0., 0., 2.]])
    >>> net(x)
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.]])
    """

    inputs = units = None
    noisy: ClassVar[bool] = True

    def __init__(self, rate: float) -> None:
        self.parameters = {}
        self.rate = as_share(rate, "the rate of dropout")

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is what each value was multiplied by, or None for 1."""
        if not run.training or self.rate == 0:
            return x, None
        if run.key is None:
            raise ValueError(
                f"{self!r} draws noise while training, and there is no key to draw it from: give one, such as "
                f"net.forward(x, key=symbreak.Key(0)), or training=False"
            )
        kept = Stream(run.key).uniform(x.shape, 0.0, 1.0) >= self.rate  # the same for every dtype of x
        factors = kept.astype(x.dtype) * (1 / (1 - exactly(self.rate, x)))
        return x * factors, factors

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Multiply by what the values were multiplied by."""
        x = g if memory is None else g * memory
        return Backward(x, g, {})

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on: it goes unit by unit."""
        return sources[0]

    def __repr__(self) -> str:
        return f"Dropout({self.rate:g})"
