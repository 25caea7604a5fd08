"""Models of JAX's that run with their units renumbered, beside the graph that their trace gives."""

import jax
import jax.numpy as jnp
import numpy as np

from symbreak.checkpoints import graph_wiring
from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._names import Names
from symbreak.jax._diagnose import _every, callable_of, values_of
from symbreak.jax._trace import trace
from tests.checkpoints.wiring._permute import axes_over, moved, places

SAME = 2e-4  # of the largest output: sums in another order, in float32


class Runner:
    """A model that is run with the values of its arrays in one row, beside the graph that its trace gives."""

    def __init__(self, model, *example):
        read, self.function, self.inputs = callable_of(model, example, {})
        self.leaves = {leaf.name: leaf.value for leaf in read.leaves}
        traced = trace(self.function, self.leaves, self.inputs)
        self.arrays = _every(values_of(read), traced)
        self.graph_ = {"inputs": traced.inputs, "nodes": traced.nodes, "outputs": traced.given}
        self.shapes = {name: array.shape for name, array in self.arrays.items()}
        self.places, self.total = places(self.shapes)
        self.graph = self.built(self.places)
        self.called = jax.jit(self.function)
        rng = np.random.default_rng(0)
        self.values = np.zeros(self.total)
        for name, array in self.arrays.items():
            drawn = np.asarray(array, float) * rng.uniform(0.7, 1.3, array.shape) + 0.1 * rng.uniform(0, 1, array.shape)
            self.values[self.places[name].ravel()] = drawn.ravel()

    def built(self, values):
        wiring = graph_wiring(self.graph_, self.shapes, self.arrays.__getitem__)
        assert dict(wiring.unknown) == {}
        return build(wiring, Names.plain(self.shapes), values.__getitem__, {}).graph

    def __call__(self, values):
        given = {}
        for name, leaf in self.leaves.items():
            rows = [each for each in self.arrays if each == name or each.startswith(f"{name}[")]
            parts = [values[self.places[each]].reshape(self.shapes[each]) for each in rows]
            given[name] = jnp.asarray(np.reshape(np.stack(parts), leaf.shape), leaf.dtype)
        return np.concatenate([np.ravel(each) for each in jax.tree.leaves(self.called(given, *self.inputs))])


def example_of(x):
    """Give an input of the shape and kind of another, with values that differ."""
    count = np.arange(x.size).reshape(x.shape)
    return jnp.asarray(count % 7 if x.dtype.kind == "i" else np.sin(count * 0.7), x.dtype)


def renumber(run, spaces, some=1):
    """Renumber the units of spaces: on all their axes nothing may change, and on all but one of every `some` it must.

    Parameters
    ----------
    run
        A Runner.
    spaces
        By name; of each every axis is in the graph.
    some
        How many axes there are to one that is left out in turn.
    """
    before = run(run.values)
    scale = np.abs(before).max()
    for space in spaces:
        after = run(run.values[moved(run.graph, space, run.total)])
        assert np.abs(after - before).max() < SAME * scale, space
        for array, number in axes_over(run.graph, space)[::some]:
            if "key/bias" in array:  # a softmax doesn't see it
                continue
            after = run(run.values[moved(run.graph, space, run.total, without=(array, number))])
            assert np.abs(after - before).max() > 1e-7 * scale, (space, array, number)
