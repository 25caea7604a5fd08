"""A network: layers in a row or with branches, run forwards and backwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, final

import numpy as np

from symbreak.graph import LayerGraph
from symbreak.streams import Key, RngLike, as_key

from ._checks import as_array, as_finite, look_up
from ._exact import as_exact, as_float, kind_of
from ._layers import AbstractLayer, Array, Backward, Run
from ._losses import LOSSES, Loss
from ._products import PRODUCTS
from ._wiring import Wire, Wiring

INPUT = "input"  # what the first layer reads


@final
@dataclass(frozen=True, eq=False)
class Gradients:
    """What one backward pass over a batch gives; ``gradients["layers.0.weight"]`` is short for `parameters`.

    Attributes
    ----------
    loss
        The loss of the batch.
    parameters
        The gradient of the loss at each parameter, by its name.
    error_signals
        The gradient of the loss at the pre-activation of each layer's units, (batch, ..., units), by the layer's name.
    activations
        The output of each layer's units, (batch, ..., units), by the layer's name.
    buffers
        What each buffer that the batch changes holds next, by its name: running statistics. Of a layer that is used
        several times it is the mean over its uses.
    """

    loss: float
    parameters: dict[str, Array]
    error_signals: dict[str, Array]
    activations: dict[str, Array]
    buffers: dict[str, Array] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        return look_up(self.parameters, name, "parameter")

    def __repr__(self) -> str:
        return f"Gradients(loss={self.loss!r}, {', '.join(self.parameters)})"


class Use(NamedTuple):
    """One use of a layer: what it is called, what it reads, the name that its parameters begin with, how it is run."""

    name: str
    layer: AbstractLayer
    sources: tuple[str, ...]
    owner: str
    run: Run

    def now(self, training: bool, key: Key | None) -> Run:
        """Give how it is run in one pass."""
        if training and not self.layer.noisy:
            return self.run
        return self.run._replace(training=training, key=None if key is None else key[self.name])


@final
class Network:
    """Layers, whose parameters training changes in place.

    Parameters
    ----------
    layers
        Layers in a row, first one first; each reads what the one before writes, and layer ``n`` is called ``layers.n``.
        Or layers by name, in the order in which they run: a layer alone reads what the one before it writes, and a
        tuple ``(layer, "first", "second")`` reads those that it names. ``"input"`` is what the network reads; it writes
        what its last layer does. A layer that stands there under two names shares its parameters: they go by the first
        name, and their gradients are summed.
    product
        How sums of products are formed. ``"tie_preserving"`` reduces every entry in the same order, so that units with
        equal weights stay equal to the last bit; ``"blas"`` is faster and does not promise that. ``"exact"`` is for
        layers of fractions or residues: no rounding at all, slowly.

    Raises
    ------
    ValueError
        No layers, layers whose sizes don't meet, a source that is not there, a layer that nothing reads, or one that
        stands in a row twice.
    TypeError
        Parameters of more than one dtype, or exact numbers without the exact product.
    UnknownName
        A product that is not in the table.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.ones((3, 2)), activation="relu"), engine.Dense(np.ones((1, 3)))])
    >>> net(np.array([[1.0, 2.0], [-1.0, -2.0]]))
    array([[9.],
           [0.]])

    A residual block:

    >>> block = engine.Network({
    ...     "up": engine.Dense(np.ones((4, 2)), activation="tanh"),
    ...     "down": engine.Dense(np.zeros((2, 4))),
    ...     "sum": (engine.Add(), "input", "down"),
    ... })
    >>> block(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """

    def __init__(
        self,
        layers: Sequence[AbstractLayer] | Mapping[str, AbstractLayer | tuple[Any, ...]],
        *,
        product: str = "tie_preserving",
    ) -> None:
        self.product = product
        self._uses = _read_layers(layers, Run(look_up(PRODUCTS, product, "product")))
        self._backwards = self._uses[::-1]
        self.layers = {use.name: use.layer for use in self._uses}
        self._last = self._uses[-1].name
        self._parameters = self._gather("parameters")
        self.units, self.vocabulary = _check_sizes(self._uses, layers)
        self._shape: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        dtypes = {array.dtype for array in self._parameters.values()}
        if len(dtypes) != 1:
            raise TypeError(
                f"the parameters of a network must have one dtype, not "
                f"{' and '.join(sorted(map(str, dtypes))) or 'none: it has no parameters'}"
            )
        self.dtype = dtypes.pop()
        self._kind = None
        if (self.dtype == object) != (product == "exact"):
            raise TypeError(
                f"the product 'exact' is for parameters that are Fraction or Residue, and they for it; got "
                f"{self.dtype} parameters and the product {product!r}"
            )
        if self.dtype == object:
            kinds = {kind_of(array) for array in self._parameters.values()}
            if len(kinds) != 1:
                raise TypeError("the parameters of an exact network must all be Fraction or all be Residue, not both")
            self._kind = kinds.pop()

    def _gather(self, what: str) -> dict[str, Array]:
        return {
            f"{use.name}.{part}": array
            for use in self._uses
            if use.name == use.owner
            for part, array in getattr(use.layer, what).items()
        }

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The parameters by name, ``layers.0.weight`` first: the arrays themselves, to be written into.

        ``net.parameters["layers.0.weight"][...] = weight`` sets one; no name can be given another array.
        """
        return MappingProxyType(self._parameters)

    @property
    def buffers(self) -> dict[str, Array]:
        """What layers keep and no gradient changes, by name: running statistics; the arrays themselves."""
        return self._gather("buffers")

    @property
    def noisy(self) -> bool:
        """Whether one of its layers draws noise while training."""
        return any(use.layer.noisy for use in self._uses)

    @property
    def inputs(self) -> int | None:
        """How many values it reads at each position, as far as its layers say."""
        return next((use.layer.inputs for use in self._uses if INPUT in use.sources and use.layer.inputs), None)

    @property
    def graph(self) -> LayerGraph:
        """The network as data, with copies of the weights as they are now.

        Raises
        ------
        NotImplementedError
            If a layer does not say how it is wired.
        """
        wiring = Wiring()
        size = self.vocabulary or self.inputs
        if size is None:
            raise NotImplementedError("no graph can be made: no layer that reads the input says how many values it has")
        wires: dict[str, Wire] = {INPUT: wiring.space(INPUT, size)}
        for use in self._uses:
            wiring.owner = use.owner
            wires[use.name] = use.layer.wire(wiring, use.name, *(wires[source] for source in use.sources))
        return wiring.graph(wires[INPUT], wires[self._last])

    def __call__(self, x: Any) -> Array:
        """Compute the outputs, (batch, ..., units), of the inputs x, (batch, ..., inputs), without noise."""
        with np.errstate(under="ignore"):  # a product or an exponential may well vanish
            return self.forward(self.read_inputs(x), training=False)[0][self._last]

    def read_inputs(self, x: Any) -> Array:
        """Return x in the network's dtype, or raise if it is no batch of inputs that its layers can read."""
        array = as_array(x, "inputs")
        if array.dtype.kind not in ("biuf" if self._kind is None else "biufO"):
            raise TypeError(f"the inputs must be numbers; their dtype is {array.dtype}")
        if array.ndim < (2 if self.vocabulary is None else 1):
            raise ValueError(f"the inputs must have shape {self._wanted}; theirs is {array.shape}")
        if not array.size:
            raise ValueError(f"the batch is empty: the inputs have shape {array.shape}")
        if array.ndim == 2 and self.inputs not in (None, array.shape[1]) and self._reads_rows:
            raise ValueError(f"the inputs must have shape {self._wanted}; theirs is {array.shape}")
        self.shape(array.shape[1:])
        if self.vocabulary is not None:
            return _as_indices(array, self.vocabulary)
        return as_finite(array, self.dtype, "inputs") if self._kind is None else as_exact(array, self._kind, "inputs")

    @property
    def _reads_rows(self) -> bool:
        """Whether it reads (batch, inputs), and needs no positions."""
        try:
            self.shape((self.inputs or 1,))
        except ValueError:
            return False
        return True

    @property
    def _wanted(self) -> str:
        if self.vocabulary is not None:
            return "(batch, ...)"
        return f"(batch, {'' if self._reads_rows else '..., '}{self.inputs or 'units'})"

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Give the shape of one row's outputs where one row of the inputs has `shape`.

        Raises
        ------
        ValueError
            If a layer can't read what comes to it.
        """
        if self._shape is not None and self._shape[0] == shape:
            return self._shape[1]
        shapes = {INPUT: tuple(shape)}
        for use in self._uses:
            try:
                shapes[use.name] = use.layer.shape(*(shapes[source] for source in use.sources))
            except ValueError as error:
                raise ValueError(
                    f"{use.name!r}, {use.layer!r}, can't read inputs of shape {('batch', *shape)}: {error}"
                ) from None
        self._shape = tuple(shape), shapes[self._last]
        return shapes[self._last]

    def forward(
        self, x: Array, *, training: bool = True, key: Key | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Run the layers on x, as `read_inputs` gives it, for each one's output and what its backward remembers."""
        wires: dict[str, Any] = {INPUT: x}
        memories = {}
        for use in self._uses:
            name, layer, sources, _, _ = use
            read = wires[sources[0]] if len(sources) == 1 else tuple(wires[source] for source in sources)
            wires[name], memories[name] = layer.forward(read, use.now(training, key))
        del wires[INPUT]
        return wires, memories

    def gradients(self, x: Array, t: Array, loss: Loss, *, training: bool = True, key: Key | None = None) -> Gradients:
        """Run the layers backwards from the loss; x and t as `read_batch` gives them."""
        activations, memories = self.forward(x, training=training, key=key)
        y = activations[self._last]
        shape = y.shape
        if y.ndim > 2:  # each position is a row of its own to the loss
            t = t.reshape(-1, *t.shape[y.ndim - 1 :])
            y = y.reshape(-1, shape[-1])
        value, at_outputs = loss.both(y, t)
        arriving: dict[str, Any] = {self._last: at_outputs.reshape(shape)}
        errors: dict[str, Array] = dict.fromkeys(activations, y)
        parameters: dict[str, Any] = dict.fromkeys(self._parameters)
        buffers: dict[str, list[Array]] = {}  # one for each use
        for use in self._backwards:
            name, layer, sources, owner, _ = use
            back = layer.backward(arriving.pop(name), memories[name], use.now(training, key))
            if not isinstance(back, Backward):
                raise TypeError(f"`backward` of {layer!r} must return an engine.Backward, not a {type(back).__name__}")
            errors[name] = back.error
            for part, gradient in back.parameters.items():
                _gather(parameters, f"{owner}.{part}", gradient)
            for part, array in back.buffers.items():
                buffers.setdefault(f"{owner}.{part}", []).append(array)
            for source, gradient in zip(sources, back.x if len(sources) > 1 else (back.x,), strict=True):
                if source != INPUT:
                    _gather(arriving, source, gradient)
        means = {name: sum(found[1:], found[0]) / len(found) for name, found in buffers.items()}
        return Gradients(as_float(value), parameters, errors, activations, means)

    def __repr__(self) -> str:
        before, shown, in_a_row = INPUT, [], True
        for number, (name, layer, sources, _, _) in enumerate(self._uses):
            in_a_row = in_a_row and name == f"layers.{number}"
            shown.append(repr(layer) if in_a_row else f"{name}: {layer!r}")
            if sources != (before,):
                shown[-1] += f" of {' and '.join(sources)}"
            before = name
        return f"Network([{', '.join(shown)}], {self.dtype}, product={self.product!r})"


def _gather(gradients: dict[str, Any], name: str, gradient: Any) -> None:
    """Add a gradient where there is one already: the derivative of a value used twice is the sum over its uses."""
    before = gradients.get(name)
    gradients[name] = gradient if before is None else before + gradient


def _read_layers(layers: Any, run: Run) -> tuple[Use, ...]:
    """Read layers in a row, or by name with what they read, or raise."""
    if not isinstance(layers, Mapping | Sequence):
        raise TypeError(f"a network is made of layers in a list, or by name in a dictionary; got {layers!r}")
    if not isinstance(layers, Mapping) and len({id(layer) for layer in layers}) != len(layers):
        raise ValueError(
            "one layer is given twice, and would share its parameters; make two layers, or, to share them on purpose, "
            "give the layers by name: {'first': layer, 'second': layer}"
        )
    named = layers if isinstance(layers, Mapping) else {f"layers.{n}": layer for n, layer in enumerate(layers)}
    if not named:
        raise ValueError("a network needs at least one layer")
    owners: dict[int, str] = {}
    uses: list[Use] = []
    before = INPUT
    for name, entry in named.items():
        layer, *sources = (entry or (None,)) if isinstance(entry, tuple) else (entry, before)
        if not isinstance(layer, AbstractLayer):
            raise TypeError(f"a network is made of layers such as engine.Dense(weight, bias), not of {layer!r}")
        if not isinstance(name, str) or not name or name == INPUT:
            raise ValueError(f"a layer needs a name of its own, not empty and not {INPUT!r}; got {name!r}")
        for source in sources or [None]:
            if source != INPUT and source not in [use.name for use in uses]:
                known = [INPUT, *(use.name for use in uses)]
                raise ValueError(f"{name!r} reads {source!r}, which no layer before it writes; there are {known}")
        first = all(source == INPUT for source in sources)
        uses.append(Use(name, layer, tuple(sources), owners.setdefault(id(layer), name), run._replace(first=first)))
        before = name
    read = {source for use in uses for source in use.sources}
    if unread := [use.name for use in uses[:-1] if use.name not in read]:
        raise ValueError(f"nothing reads what {unread[0]!r} writes, and it is not the last layer: leave it out")
    return tuple(uses)


def _check_sizes(uses: tuple[Use, ...], layers: Any) -> tuple[int | None, int | None]:
    """Return the number of outputs, where it is known, and the vocabulary of the input; raise if sizes don't meet."""
    vocabularies = {use.layer.vocabulary for use in uses if INPUT in use.sources}
    if len(vocabularies) > 1:
        raise ValueError(f"the layers that read the input must read one kind of it, numbers or indices: {layers!r}")
    read = {use.layer.inputs for use in uses if INPUT in use.sources} - {None}
    sizes: dict[str, int | None] = {INPUT: read.pop() if len(read) == 1 else None}
    if read:
        raise ValueError(f"sizes don't meet: layers read inputs of several sizes: {layers!r}")
    for use in uses:
        if any(use.layer.vocabulary is not None and source != INPUT for source in use.sources):
            raise ValueError(f"{use.name!r}, {use.layer!r}, reads indices: it reads the input, not {use.sources}")
        try:
            sizes[use.name] = use.layer.widths(*(sizes[source] for source in use.sources))
        except ValueError as error:
            writes = " and ".join(f"{source!r} writes {sizes[source]} units" for source in use.sources)
            raise ValueError(
                f"sizes don't meet: {writes}, but {use.name!r} {error}: "
                f"{dict(layers) if isinstance(layers, Mapping) else list(layers)}"
            ) from None
    return sizes[uses[-1].name], vocabularies.pop()


def _as_indices(array: Array, vocabulary: int) -> Array:
    if array.dtype.kind not in "iu":
        raise TypeError(f"the inputs are indices, 0 to {vocabulary - 1}: integers; their dtype is {array.dtype}")
    if array.min() < 0 or array.max() >= vocabulary:
        wrong = array[(array < 0) | (array >= vocabulary)][0]
        raise ValueError(f"index {wrong} is out of range: the inputs go from 0 to {vocabulary - 1}")
    return array.astype(np.intp)


def read_batch(net: Network, x: Any, y: Any, loss: Loss) -> tuple[Array, Array]:
    """Return inputs and targets as the network and the loss take them, or raise saying what is wrong with them."""
    if not isinstance(net, Network):
        raise TypeError(f"the network must be an engine.Network; got {net!r}")
    inputs = net.read_inputs(x)
    *positions, outputs = net.shape(inputs.shape[1:])
    y = as_array(y, "targets")
    if y.ndim and len(y) != len(inputs):
        raise ValueError(f"inputs and targets must have as many rows; they have {len(inputs)} and {len(y)}")
    if net.dtype == object and loss is not LOSSES["mse"]:
        raise TypeError("a network of exact numbers has no other loss than 'mse': the others take logarithms")
    t = loss.read(y, (len(inputs), *positions, outputs), net.dtype)
    return inputs, as_exact(t, net._kind, "targets") if net._kind is not None else t


def gradients(
    net: Network, x: Any, y: Any, *, loss: str = "mse", training: bool = True, rng: RngLike = None
) -> Gradients:
    """Run a network forwards and backwards over one batch.

    Parameters
    ----------
    net
        The network; it is not changed.
    x
        Inputs, (batch, inputs), or (batch, ..., inputs) with positions in time or in an image; whole numbers,
        (batch, ...), where the first layer is an embedding.
    y
        Targets: of ``"mse"`` (batch, out), or (batch,) where there is one output; of ``"logistic"`` the same, each 0 or
        1; of ``"cross_entropy"`` integer labels, (batch,). Outputs at several positions have targets at each.
    loss
        ``"mse"``, the mean over batch and outputs of the squared difference; ``"cross_entropy"``, the mean over the
        batch of ``-log(softmax(outputs)[label])``; or ``"logistic"``, binary cross-entropy on logits: the mean over
        batch and outputs of ``log(1 + exp(-output))`` where the target is 1 and ``log(1 + exp(output))`` where it is 0.
        The means are over the positions too.
    training
        False for the network as it is used, without noise and with the statistics that training gathered.
    rng
        What noise is drawn from, where a layer draws some. None draws other noise at every call.

    Returns
    -------
    Gradients
        The loss, the gradient of each parameter, and each layer's error signals and activations.

    Raises
    ------
    ValueError
        Shapes that don't meet, a batch of no rows, values that are not finite, or labels out of range.
    TypeError
        Inputs or targets that are not numbers, or labels that are not integers.
    UnknownName
        A loss that is not in the table.

    See Also
    --------
    train : Many steps.
    symbreak.testing.check_gradient : Against finite differences.

    Examples
    --------
    Units with equal weights get equal error signals:

    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.full((3, 2), 0.5), activation="tanh"), engine.Dense(np.ones((1, 3)))])
    >>> found = engine.gradients(net, [[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0])
    >>> signals = found.error_signals["layers.0"]
    >>> bool((signals == signals[:, :1]).all())
    True
    >>> found["layers.0.weight"].shape
    (3, 2)
    """
    row = look_up(LOSSES, loss, "loss")
    with np.errstate(under="ignore"):
        x, t = read_batch(net, x, y, row)
        key = as_key(rng) if training and net.noisy else None
        return net.gradients(x, t, row, training=training, key=key)
