"""A function of JAX's as a graph of ONNX's operators: its jaxpr, with calls inlined and loops written once."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.extend.core import Literal

from ._symbols import Shape, Symbol, number

Array = npt.NDArray[Any]

LONGEST_STACK = 256  # layers whose parameters are one array, and which are written out


class CannotTrace(Exception):  # noqa: N818 - says what the matter is
    """Why a model can't be traced."""


@final
class Trace:
    """The graph, as far as it is written.

    Attributes
    ----------
    nodes, inputs, given
        Of the graph (`given` are its outputs), as `graph_wiring` takes it.
    constants
        Arrays that the function holds beside its parameters.
    stacked
        Parameters of which each row is one of a layer of its own, and how many they are.
    noise
        Whether random numbers tell the units apart that they meet.
    """

    def __init__(self, *, noise: bool = False) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.given: list[dict[str, Any]] = []
        self.inputs: list[dict[str, Any]] = []
        self.constants: dict[str, Array] = {}
        self.stacked: dict[str, int] = {}
        self.noise = noise
        self.values: dict[Any, Symbol] = {}
        self.origins: dict[str, str] = {}  # the array of the model that a value is, perhaps turned
        self._count = itertools.count()
        self._even = ""

    def fresh(self, stem: str = "v") -> str:
        """Make a name for a value."""
        return f"{stem} {next(self._count)}"

    def emit(self, op: str, inputs: Sequence[str], shape: Shape, *, outputs: int = 1, **attributes: Any) -> Symbol:
        """Write a node; give its first output, of this shape."""
        names = [self.fresh() for _ in range(outputs)]
        node = {"op_type": op, "inputs": list(inputs), "outputs": names, "attributes": attributes}
        origin = next((self.origins[each] for each in inputs if each in self.origins), "")
        self.nodes.append(node | ({"name": f"{origin}.{op}"} if origin else {}))
        if origin and len(inputs) - (op == "Reshape") == 1:
            self.origins[names[0]] = origin
        return Symbol(shape, names[0])

    def outputs(self) -> list[str]:
        """Give the names of all outputs of the last node."""
        found: list[str] = self.nodes[-1]["outputs"]
        return found

    def list_of(self, numbers: Sequence[int]) -> str:
        """Give the name of a list of whole numbers."""
        return self.emit("Constant", [], (len(numbers),), value_ints=[int(each) for each in numbers]).name

    def enter(self, shape: Shape, stem: str) -> Symbol:
        """Make an input of the graph: its axes are positions, until a weight reads them."""
        name = self.fresh(stem)
        self.inputs.append({"name": name, "shape": list(shape)})
        return Symbol(shape, name)

    def name(self, symbol: Symbol) -> str:
        """Give the name of a value, and write what it is made of where it has none yet."""
        if symbol.parts:
            names = [self.name(part) for part in symbol.parts]
            return self.emit("Concat", names, symbol.shape, axis=symbol.axis).name
        if symbol.inner is not None:
            at = symbol.axis
            wide = (*symbol.shape[:at], *symbol.sizes, *symbol.shape[at + 1 :])
            whole = self.emit("Reshape", [self.name(self.full(symbol.inner, wide)), self.list_of(symbol.shape)], ())
            return self.name(replace(symbol, name=whole.name, inner=None))
        if symbol.even:
            self._even = self._even or self.emit("ConstantOfShape", [], ()).name
            return self._even
        found = symbol.name
        for op, array in symbol.later:
            found = self.emit(op, [found, self.name(array)], symbol.shape).name
        return found

    def full(self, symbol: Symbol, shape: Shape) -> Symbol:
        """Give a value at its full shape."""
        if symbol.even or symbol.shape == shape:
            return symbol
        return self.emit("Expand", [self.name(symbol), self.list_of(shape)], shape)

    def read(self, atom: Any) -> Symbol:
        """Give what is known of a variable or a number in a jaxpr."""
        if isinstance(atom, Literal):
            value = np.asarray(atom.val)
            return number(float(value) if value.dtype.kind in "fiub" and value.size == 1 else None, value.ndim)
        return self.values[atom]

    def constant(self, value: Any) -> Symbol:
        """Take an array that the function holds."""
        if not hasattr(value, "dtype") or jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return number(None, len(getattr(value, "shape", ())))
        array = np.asarray(value)
        if array.size and (array == array.flat[0]).all():
            return number(float(array.flat[0]), array.ndim)
        if array.dtype.kind in "iub" or not jnp.issubdtype(array.dtype, jnp.floating):
            return self.enter(array.shape, "places")
        name = f"constants/{len(self.constants)}"
        self.constants[name] = array
        return self.array(name, array.shape)

    def array(self, name: str, shape: Shape) -> Symbol:
        """Take an array of the model."""
        self.origins[name] = name
        return Symbol(shape, name, tensor=True)

    def run(self, jaxpr: Any, consts: Sequence[Symbol], args: Sequence[Symbol]) -> list[Symbol]:
        """Follow a jaxpr; give what it gives out."""
        from ._lax import follow

        kept = dict(self.values)
        for variable, symbol in zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True):
            self.values[variable] = symbol
        for equation in jaxpr.eqns:
            for variable, symbol in zip(equation.outvars, follow(self, equation, jaxpr), strict=True):
                self.values[variable] = symbol
        found = [self.read(atom) for atom in jaxpr.outvars]
        self.values = kept  # a jaxpr may be called again, with other arguments
        return found


def trace(
    function: Callable[..., Any],
    leaves: dict[str, Any],
    example: Sequence[Any],
    *,
    noise: bool = False,
) -> Trace:
    """Translate a function of arrays by name, and of an example of its other arguments.

    Raises
    ------
    CannotTrace
        JAX can't trace it, with what it said.
    """
    names = list(leaves)
    structs = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves.values()]  # type: ignore[no-untyped-call]

    def flat(arrays: Sequence[Any], *rest: Any) -> Any:
        given = function(dict(zip(names, arrays, strict=True)), *rest)
        return [each for each in jax.tree.leaves(given) if hasattr(each, "dtype")]

    try:
        closed = jax.make_jaxpr(flat)(structs, *example)
    except CannotTrace:
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0][:200]
        raise CannotTrace(f"{type(error).__name__}: {first}") from error
    found = Trace(noise=noise)
    consts = [found.constant(value) for value in closed.consts]
    args: list[Symbol] = []
    for place, variable in enumerate(closed.jaxpr.invars):
        shape = tuple(variable.aval.shape)
        if place < len(names):
            args.append(found.array(names[place], shape))
        elif jnp.issubdtype(variable.aval.dtype, jax.dtypes.prng_key):
            args.append(number(None, len(shape)))
        else:
            args.append(found.enter(shape, "input"))
    results = found.run(closed.jaxpr, consts, args)
    mixed = [name for name in found.stacked if any(name in node["inputs"] for node in found.nodes)]
    if mixed:
        raise CannotTrace(f"{mixed[0]} is read both as a whole and layer by layer")
    found.given = [{"name": found.name(each), "shape": None} for each in results if not each.even]
    return found
