r"""Which units of a network can never learn: all of their gradients are exactly zero, and stay so (SB203).

A unit gives :math:`y = f(x)`, where :math:`x` is what it reads. If what it reads with and what it holds is zero, and
:math:`f(0) = 0`, then :math:`y = 0`, and what is read from it with gets no gradient; if that is zero too, so is the
error signal, and the unit gets none either. A norm stands between, :math:`y_u = f(s_u a_u + c_u)`:

- A batch norm treats each unit by itself: :math:`a_u = 0` where :math:`x_u` is 0 in every row.
- An RMS norm gives :math:`a_u = r x_u` and hands back :math:`r (s_u g_u - a_u m)`, with means r and m over all units.
  Both are zero where :math:`x_u` and the error signal :math:`g_u` are.
- A layer norm takes the mean :math:`\mu` of all units: a unit that reads nothing gives :math:`-\mu r s_u`, and moves.
  Only where all units that it takes the mean of are as above is :math:`a = 0`, and nothing moves. So of a group norm.

A scale of no norm, such as a depthwise kernel, multiplies :math:`a_u = x_u`, which is zero where :math:`x_u` is. A norm
without parameters is known by its name among the activations of a space.

Whatever the norm, the unit gives zero where :math:`s_u` and :math:`c_u` are. If it is read with weights of zero, then
neither these nor the scale and the shift ever move, though what it reads with may, for the sake of the others. That is
said only where all that is read passes the norm for sure: one weight writes to the space, and one reads.
"""

from typing import final

import numpy as np
import numpy.typing as npt

from symbreak.graph import LayerGraph

from ._nodes import Link, Side, System, View
from ._partition import Refiner

Flags = npt.NDArray[np.bool_]

# Activations f with f(0) = 0. Behind them a unit that reads nothing gives nothing.
ZERO_AT_ZERO = frozenset(
    {
        "identity", "relu", "leaky_relu", "tanh", "gelu", "silu", "erf", "sin", "square", "elu", "selu", "softsign",
        "relu6", "swish", "hard_swish", "hardswish", "mish", "celu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh",
        "quick_gelu",  # as models of transformers call theirs
        "lstm",  # without weights and biases its cells stay at 0
    }
)  # fmt: skip
FLAT_BELOW_ZERO = frozenset({"relu", "relu6"})  # and their slope is 0 up to 0, by the usual convention
FLAT_AT_ZERO = frozenset({"square", "relu", "relu6"})  # 0 with slope 0

BY_UNIT = frozenset({"batch", "rms", "none"})  # norms that leave a unit of zeros alone
BARE = {"layer_norm": "layer", "group_norm": "group", "rms_norm": "rms", "batch_norm": "batch"}  # without parameters


@final
class Blocked:
    """The units of a network that can never learn, and why.

    Parameters
    ----------
    graph
        The network.
    refiner
        Of its system.

    Attributes
    ----------
    incoming, outgoing
        For each node whether all that a unit reads with, and all that it is read with, is zero.
    cut
        For each node which of its units masks cut off on one side.
    units
        For each node which of its units are blocked.
    """

    def __init__(self, graph: LayerGraph, refiner: Refiner) -> None:
        self.refiner = refiner
        self.system = refiner.system
        self.functions = {space.name: frozenset(space.functions) for space in graph.spaces}
        self.per_unit = {each.name: each for each in graph.per_unit}
        self.once = {weight.name for weight in graph.connections if len(weight.uses) == 1}
        self.incoming, self.outgoing = self._zeros()
        self._silent = self._find_silent()
        self._scaled = [self._find_scaled(number) for number in range(len(self.system.nodes))]
        self.cut = [self._find_cut(number) for number in range(len(self.system.nodes))]
        self.units = [self._find_blocked(number) for number in range(len(self.system.nodes))]
        for link in self.system.links:  # what heads share moves for the sake of any of them
            self.units[link.more] &= _in_group(self.system, link, self.units[link.fewer])

    def reason(self, number: int) -> str:
        """Say why the blocked units of a node are."""
        stuck = self.units[number] & ~self.cut[number]
        dead = self.incoming[number] & self.outgoing[number]
        if not self.system.is_read(number):
            return "both factors of a product are zero, and each one's gradient is a multiple of the other"
        if dead[stuck].all():
            return "all that they read and all that is read from them has weight zero, and each needs the other to move"
        if (self._scaled[number] & self.outgoing[number])[stuck].all():
            what = "a scale" if self._norms(number) == {"none"} else "a norm"
            return f"{what} multiplies them by zero, and they are read with weights zero: each needs the other to move"
        if self.incoming[number][stuck].all():
            return "they read with weights zero, and their activation is flat where they are"
        return "what they read with, are multiplied by, or are read with is zero, and each needs the other to move"

    def is_written(self, number: int) -> bool:
        """Whether a weight writes to a node, or to one that it goes with index by index."""
        return any(side.written and len(view.sides) > 1 for view, side in self.system.views_of(number)) or any(
            number == link.more and self.is_written(link.fewer) for link in self.system.links
        )

    def _zeros(self) -> tuple[list[Flags], list[Flags]]:
        incoming, outgoing = [], []
        for number, node in enumerate(self.system.nodes):
            zero_in, zero_out = np.ones(node.size, np.bool_), np.ones(node.size, np.bool_)
            for view, side in self._weights(number):
                zero = self.refiner.zero(view, side)
                zero_in &= zero | (not side.written)
                zero_out &= zero | (not side.read)
            incoming.append(zero_in)
            outgoing.append(zero_out)
        for link in self.system.links:
            incoming[link.more] &= _in_group(self.system, link, incoming[link.fewer])
            outgoing[link.fewer] &= _of_group(self.system, link, outgoing[link.more])
        return incoming, outgoing

    def _weights(self, number: int) -> list[tuple[View, Side]]:
        """Give the weights of a node, without masks: nothing is read with these."""
        masking = self.system.masking
        return [(v, side) for v, side in self.system.views_of(number) if len(v.sides) > 1 and v.name not in masking]

    def _find_cut(self, number: int) -> Flags:
        """Say which units masks cut off from all that they read, or from all that reads them: that is on purpose."""
        cut = np.zeros(self.system.nodes[number].size, np.bool_)
        for done in ("written", "read"):
            weights = [(view, side) for view, side in self._weights(number) if getattr(side, done)]
            if weights and all(view.name in self.system.masks for view, _ in weights):
                off = np.ones(len(cut), np.bool_)
                for view, side in weights:
                    open_ = np.moveaxis(self.system.masks[view.name], side.axes, range(len(side.axes)))
                    off &= ~open_.reshape(len(cut), -1).any(axis=1)
                cut |= off
        return cut

    def _held(self, number: int) -> list[tuple[View, Side, str]]:
        """Give the per-unit parameters of a node, with their kinds; without masks, which are in what they multiply."""
        masking = self.system.masking
        own = [(v, side) for v, side in self.system.views_of(number) if len(v.sides) == 1 and v.name not in masking]
        return [(view, side, self.per_unit[view.name].kind) for view, side in own]

    def _functions(self, number: int) -> frozenset[str]:
        return frozenset[str]().union(*(self.functions[name] for name in self.system.nodes[number].spaces))

    def _through(self, number: int) -> frozenset[str]:
        """Give the activations of a node, without norms that have no parameters."""
        return self._functions(number) - BARE.keys() or frozenset({"identity"})

    def _bare(self, number: int) -> frozenset[str]:
        """Give the norms over a node that have no parameters."""
        return frozenset(BARE[name] for name in self._functions(number) & BARE.keys())

    def _find_silent(self) -> list[Flags]:
        """Say which units read nothing and hold nothing, so that they are zero for every input before any norm."""
        silent = [zero.copy() for zero in self.incoming]
        for number, flags in enumerate(silent):
            for view, side, kind in self._held(number):
                if kind in ("bias", "shift", "mean", "constant"):
                    flags &= self.refiner.zero(view, side)
        for link in self.system.links:
            more, fewer = silent[link.more], silent[link.fewer]
            silent[link.more] = more & _in_group(self.system, link, fewer)
            silent[link.fewer] = fewer & _of_group(self.system, link, more)
        return silent

    def _norms(self, number: int) -> frozenset[str | None]:
        """Give the norms over a node, None for one of which it isn't known what it takes the mean of."""
        held = self._held(number)
        kinds = [kind for _, _, kind in held]
        norms = {self.per_unit[view.name].norm for view, _, kind in held if kind == "scale"}
        if None in norms and max(1, kinds.count("scale")) <= min(kinds.count("mean"), kinds.count("variance")):
            norms = (norms - {None}) | {"batch"}  # it is known by its running statistics
        return frozenset(norms) | self._bare(number)

    def _find_blocked(self, number: int) -> Flags:
        node = self.system.nodes[number]
        if node.apart or not self.is_written(number):
            return np.zeros(node.size, np.bool_)
        through, norms = self._through(number), self._norms(number)
        silent = self._silent[number] & (through <= ZERO_AT_ZERO)
        if not self.system.is_read(number):  # queries and keys, whose gradients are multiples of each other
            return silent & bool(node.parents) & (norms <= BY_UNIT or (None not in norms and bool(silent.all())))
        added = bool({"shift", "bias"} & {kind for _, _, kind in self._held(number)})
        scaled, unread = self._scaled[number], self.outgoing[number]
        # A norm may stand before the activation or behind it: what it adds can move though the slope is zero.
        flat = len(through) == 1 and through <= FLAT_AT_ZERO and not (norms and added)
        zero = silent & (unread | flat | (scaled & (not added)))
        if not norms <= BY_UNIT:
            still = silent & (unread | flat | scaled)
            zero &= None not in norms and bool(still.all())
        elif len(through) == 1 and through <= FLAT_BELOW_ZERO:
            zero |= self._below(number)
        return zero | (scaled & unread)

    def _below(self, number: int) -> Flags:
        """Say which units read nothing and have biases that are nowhere above zero, with no norm between."""
        below = self.incoming[number] & (not self._bare(number))
        for view, side, kind in self._held(number):
            if kind == "bias":
                below &= _at_most_zero(view, side)
            elif kind in ("scale", "shift", "mean", "constant"):
                below[:] = False
        return below

    def _find_scaled(self, number: int) -> Flags:
        """Say which units a norm, through which all that is read passes, multiplies by zero, with a shift of zero."""
        node = self.system.nodes[number]
        shut = np.ones(node.size, np.bool_)
        held = self._held(number)
        kinds = [kind for _, _, kind in held]
        weights = self._weights(number)
        between = (
            kinds.count("scale") == 1
            and sum(side.written for _, side in weights) == sum(side.read for _, side in weights) == 1
            and all(view.name in self.once for view, _ in weights)
            and self._through(number) <= ZERO_AT_ZERO - {"lstm"}
            and self._bare(number) <= BY_UNIT  # a mean of all units may be taken behind the scale
        )
        if node.apart or not between:
            return np.zeros(node.size, np.bool_)
        for view, side, kind in held:
            # A bias is the weight's where the norm has a shift; else it may be the norm's.
            if kind in ("scale", "shift", "constant") or (kind == "bias" and "shift" not in kinds):
                shut &= self.refiner.zero(view, side)
        return shut


def _of_group(system: System, link: Link, more: Flags) -> Flags:
    """Say of each unit of the node with fewer heads whether something holds in all heads of its group."""
    units = system.nodes[link.fewer].shape[-1]
    theirs = more.reshape(-1, units)
    groups = range(system.nodes[link.fewer].size // units)
    return np.stack([theirs[link.of == group].all(axis=0) for group in groups]).reshape(-1)


def _in_group(system: System, link: Link, fewer: Flags) -> Flags:
    """Say of each unit of the node with more heads whether something holds in the head that its own reads."""
    return np.asarray(fewer.reshape(-1, system.nodes[link.fewer].shape[-1])[link.of].reshape(-1))


def _at_most_zero(view: View, side: Side) -> Flags:
    """Say which units have a slice that is nowhere above zero."""
    array = np.moveaxis(view.array, side.axes, range(len(side.axes)))
    return np.asarray((array <= 0).all(axis=tuple(range(len(side.axes), array.ndim)))).reshape(-1)
