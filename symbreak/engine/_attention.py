"""Multi-head self-attention: each position reads the others, each head by its own measure of what is near."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from ._layers import AbstractLayer, Array, Backward, Run, Shape, as_parameters, project, rows, summed, totals
from ._products import alike
from ._time import shape_in_time
from ._wiring import Wire, Wiring

AXES = {
    "query": "(heads, size, inputs)",
    "key": "(heads, size, inputs)",
    "value": "(heads, value_size, inputs)",
    "output": "(units, heads, value_size)",
    "query_bias": "(heads, size)",
    "key_bias": "(heads, size)",
    "value_bias": "(heads, value_size)",
    "output_bias": "(units,)",
}
CALLED = {
    name: f"bias of the {name.removesuffix('_bias')}" if name.endswith("_bias") else f"weight of the {name}"
    for name in AXES
}


@final
class Attention(AbstractLayer):
    r"""Scaled dot-product attention of several heads, from (batch, time, inputs) to (batch, time, units).

    .. math::
        Q &= X W_q^T + b_q, \quad K = X W_k^T + b_k, \quad V = X W_v^T + b_v, \\
        Y &= \sum_{\text{heads}} A V W_o^T + b_o, \quad A = \operatorname{softmax}(Q K^T / \sqrt{\text{size}}),

    where the softmax goes over the times that are read.

    Parameters
    ----------
    query
        (heads, size, inputs), float32 or float64. Copied, as training changes it in place.
    key
        (heads, size, inputs). Or fewer heads, of which the number of query heads is a multiple: those then share them
        in order, with 4 and 2 the first two query heads the first key head.
    value
        (heads, value_size, inputs), as many heads as `key`.
    output
        (units, heads, value_size), as many heads as `query`.
    query_bias, key_bias, value_bias, output_bias
        (heads, size), (heads, size), (heads, value_size) and (units,), each None for none. All scores that are compared
        have the same share from the key bias, so that its gradient is zero but for rounding.
    causal
        Whether a position reads only itself and those before it.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype; exact numbers, which have no exponential.
    ValueError
        Shapes that don't meet, or values that are not finite.

    Notes
    -----
    Draw `query`, `key` and `value` with ``axes="boi"``, each head by itself, and `output` with ``axes="oii"``: a unit
    reads all heads.

    Its error signal is the gradient at its outputs, which are linear. Its graph has a space of query and key units,
    whose rows in `query` and `key` belong together; one of value units; and one of heads, on whose axis all four arrays
    lie. Where heads share keys and values, the key and value heads are a space of their own, and a weight called
    ``groups``, (query heads, key heads), has a 1 where one reads the other.

    References
    ----------
    Vaswani et al. "Attention is all you need". 2017. :arxiv:`1706.03762`

    Ainslie et al. "GQA: training generalized multi-query transformer models from multi-head checkpoints". 2023 (shared
    key and value heads). :arxiv:`2305.13245`

    Examples
    --------
    A head whose scores are all zero gives every position the mean of the values:

    >>> import numpy as np
    >>> from symbreak import engine
    >>> zero, one = np.zeros((1, 2, 1)), np.ones((1, 1, 1))
    >>> net = engine.Network([engine.Attention(zero, zero, one, one)])
    >>> net(np.array([[[1.0], [2.0], [6.0]]])).tolist()
    [[[3.0], [3.0], [3.0]]]
    """

    inputs: int
    units: int

    def __init__(
        self,
        query: Array,
        key: Array,
        value: Array,
        output: Array,
        *,
        query_bias: Array | None = None,
        key_bias: Array | None = None,
        value_bias: Array | None = None,
        output_bias: Array | None = None,
        causal: bool = False,
    ) -> None:
        arrays = {"query": query, "key": key, "value": value, "output": output}
        biases = {"query_bias": query_bias, "key_bias": key_bias, "value_bias": value_bias, "output_bias": output_bias}
        self.parameters = as_parameters(arrays | biases, CALLED)
        _check_shapes(self.parameters)
        self.causal = causal
        self.heads, self.size, self.inputs = query.shape
        self.groups, self.value_size, _ = value.shape  # key and value heads, each with its queries
        self.units = len(output)

    def shape(self, *shapes: Shape) -> Shape:
        """Give (time, units) for (time, inputs)."""
        return shape_in_time(shapes[0], self.inputs, self.units)

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (input, queries, keys, values, attention, what the heads read)."""
        time = x.shape[1]
        q, k, v = (self._read(part, x, run) for part in ("query", "key", "value"))
        scores = _each(q, k, run) * self.size**-0.5  # (batch, groups, queries, time)
        if self.causal:
            seen = np.tile(np.tri(time, dtype=bool), (self.heads // self.groups, 1))
            scores = np.where(seen, scores, -np.inf)
        e = np.exp(scores - scores.max(axis=-1, keepdims=True))
        a = e / totals(e, run)
        m = _by_time(_each(a, v.swapaxes(-1, -2), run), time)  # (batch, time, heads * value_size)
        y = project(m, self.parameters["output"].reshape(self.units, -1), run)
        if "output_bias" in self.parameters:
            y += self.parameters["output_bias"]
        return y, (x, q, k, v, a, m)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients; that of a softmax is ``a * (da - (a * da).sum())``."""
        x, q, k, v, a, m = memory
        output = self.parameters["output"].reshape(self.units, -1)
        gradients = {"output": run.product(rows(g).T, rows(m).T).reshape(self.parameters["output"].shape)}
        if "output_bias" in self.parameters:
            gradients["output_bias"] = summed(g)
        dm = _by_group(project(g, output.T, run), self.groups, self.value_size)
        da = _each(dm, v, run)
        ds = a * (da - totals(a * da, run)) * self.size**-0.5
        at_units = {
            "query": _each(ds, k.swapaxes(-1, -2), run),
            "key": _each(ds.swapaxes(-1, -2), q.swapaxes(-1, -2), run),
            "value": _each(a.swapaxes(-1, -2), dm.swapaxes(-1, -2), run),
        }
        down = None if run.first else np.zeros_like(x)
        for part, d in at_units.items():
            d = _by_time(d, x.shape[1])  # (batch, time, heads * size)
            weight = self.parameters[part]
            gradients[part] = run.product(rows(d).T, rows(x).T).reshape(weight.shape)
            if f"{part}_bias" in self.parameters:
                gradients[f"{part}_bias"] = summed(d).reshape(weight.shape[:2])
            if down is not None:
                down += project(d, weight.reshape(-1, self.inputs).T, run)
        return Backward(down, g, gradients)

    def _read(self, part: str, x: Array, run: Run) -> Array:
        """Compute the queries, keys or values, (batch, groups, heads of a group * time, size)."""
        weight = self.parameters[part]
        z = project(x, weight.reshape(-1, self.inputs), run)
        if f"{part}_bias" in self.parameters:
            z += self.parameters[f"{part}_bias"].reshape(-1)
        return _by_group(z, self.groups, weight.shape[1])

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Add the spaces of heads, of query and key units, of value units, and of outputs."""
        wire = wiring.space(name, self.units)
        heads = groups = f"{name}.heads"
        wiring.space(heads, self.heads)
        if self.groups < self.heads:
            groups = f"{name}.groups"
            wiring.space(groups, self.groups)
            mask = np.repeat(np.eye(self.groups), self.heads // self.groups, axis=0)
            wiring.weight("groups", mask, [("out", heads), ("in", groups)])
        between = wiring.space(f"{name}.query_key", self.size)
        values = wiring.space(f"{name}.value", self.value_size)
        for part, space, out in [("query", heads, between), ("key", groups, between), ("value", groups, values)]:
            wiring.weight(part, self.parameters[part], [("head", space), "out", "in"], out, sources[0])
            if f"{part}_bias" in self.parameters:
                bias = self.parameters[f"{part}_bias"]
                wiring.per_unit(f"{part}_bias", bias, out, roles=[("head", space), "out"])
        wiring.weight("output", self.parameters["output"], ["out", ("head", heads), "in"], wire, values)
        if "output_bias" in self.parameters:
            wiring.per_unit("output_bias", self.parameters["output_bias"], wire)
        return wire

    def __repr__(self) -> str:
        shared = "" if self.groups == self.heads else f", {self.groups} of keys and values"
        causal = ", causal" if self.causal else ""
        heads = f"{self.heads} head{'' if self.heads == 1 else 's'}"
        return f"Attention({self.inputs} -> {self.units}, {heads}{shared}{causal})"


def _each(a: Array, b: Array, run: Run) -> Array:
    """Multiply rows by rows, (batch, groups, m, k) and (batch, groups, n, k), for each batch row and group alone.

    All rows start alike, whichever product they go to: equal heads give equal entries as equal units of one head do.
    """
    (m, k), n = a.shape[2:], b.shape[2]
    left, right = alike(a.reshape(-1, k)).reshape(-1, m, k), alike(b.reshape(-1, k)).reshape(-1, n, k)
    return np.stack([run.product(*pair) for pair in zip(left, right, strict=True)]).reshape(*a.shape[:2], m, n)


def _by_group(z: Array, groups: int, size: int) -> Array:
    """Give (batch, time, heads * size) as (batch, groups, heads of a group * time, size)."""
    batch, time, _ = z.shape
    return z.reshape(batch, time, groups, -1, size).transpose(0, 2, 3, 1, 4).reshape(batch, groups, -1, size)


def _by_time(z: Array, time: int) -> Array:
    """Give what `_by_group` does back as (batch, time, heads * size)."""
    batch, groups, _, size = z.shape
    return z.reshape(batch, groups, -1, time, size).transpose(0, 3, 1, 2, 4).reshape(batch, time, -1)


def _check_shapes(parameters: Mapping[str, Array]) -> None:
    """Raise if the arrays are not those of attention, or their shapes don't meet."""
    if any(array.dtype == object for array in parameters.values()):
        raise TypeError("attention takes exponentials, which exact numbers don't have; give float32 or float64 arrays")
    for part in ("query", "key", "value", "output"):
        if parameters[part].ndim != 3 or 0 in parameters[part].shape:
            raise ValueError(
                f"the {CALLED[part]} has three axes, {AXES[part]}, of 1 or more; got {parameters[part].shape}"
            )
    heads, size, inputs = parameters["query"].shape
    groups, value_size, units = len(parameters["key"]), parameters["value"].shape[1], len(parameters["output"])
    if heads % groups:
        raise ValueError(f"{heads} query heads can't share {groups} key heads: their number must be a multiple of it")
    wanted = {
        "key": (groups, size, inputs),
        "value": (groups, value_size, inputs),
        "output": (units, heads, value_size),
        "query_bias": (heads, size),
        "key_bias": (groups, size),
        "value_bias": (groups, value_size),
        "output_bias": (units,),
    }
    for name, shape in wanted.items():
        if name in parameters and parameters[name].shape != shape:
            raise ValueError(
                f"shapes don't meet: for those before it the {CALLED[name]}, {AXES[name]}, must have shape {shape}, "
                f"not {parameters[name].shape}"
            )
