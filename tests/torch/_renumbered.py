"""A model of torch's with the units of a space renumbered, or two of them made alike, by the graph that was found."""

import numpy as np
import torch
from torch.utils._pytree import tree_flatten

from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._names import Names
from symbreak.torch._wire import wired_with
from tests.checkpoints.wiring._permute import closed, moved, places
from tests.checkpoints.wiring._planted import planted


class Renumbered:
    """A model whose values lie in one row, so that a graph of places says where each is moved to."""

    def __init__(self, model, example=(), kwargs=None, seed=0, precise=True):
        self.model, self.example, self.kwargs = model, example, kwargs or {}
        self.dtype = torch.float64 if precise else torch.float32
        found = wired_with(model, example, self.kwargs)
        assert not found.by_names, found.by_names
        self.wired, arrays = found.wired, found.arrays
        every = {**arrays, **{name: each for name, each in self.wired.graph.arrays.items() if name.startswith("(")}}
        shapes = {name: array.shape for name, array in every.items() if 0 not in array.shape}
        self.shapes = {name: arrays[name].shape for name in arrays}
        self.places, self.total = places(shapes)
        for name, part in found.parts.items():
            self.places[name] = part.of(self.places[part.tensor])
        for part in found.parts.values():
            shapes.pop(part.tensor, None)
        shapes |= {name: self.places[name].shape for name in found.parts}
        self.graph = build(self.wired.wiring, Names.plain(shapes), self.places.__getitem__, {}).graph
        rng = np.random.default_rng(seed)
        self.values = np.zeros(self.total)
        for name, array in every.items():
            if 0 in array.shape:
                continue
            drawn = array.astype(float)
            if array.dtype.kind not in "iub" and name in arrays:  # zeros and ones would hide what is moved
                drawn = drawn + rng.uniform(0.05, 0.15, array.shape) * rng.choice([-1, 1], array.shape)
                drawn = np.abs(drawn) if name.endswith("running_var") else drawn
            self.values[self.places[name].ravel()] = drawn.ravel()

    def __call__(self, values):
        held = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        stand = {}
        for name in self.shapes:
            if name not in self.places:
                continue
            new = torch.as_tensor(np.reshape(values[self.places[name]], self.shapes[name]))
            stand[name] = new.to(held[name].dtype if held[name].dtype != torch.float32 else self.dtype)
        example = [each.to(self.dtype) if isinstance(each, torch.Tensor) and each.is_floating_point() else each
                   for each in self.example]  # fmt: skip
        kwargs = {
            key: each.to(self.dtype) if isinstance(each, torch.Tensor) and each.is_floating_point() else each
            for key, each in self.kwargs.items()
        }
        with torch.no_grad():
            out = torch.func.functional_call(self.model, stand, tuple(example), kwargs)
        found = [each for each in tree_flatten(out)[0] if isinstance(each, torch.Tensor) and each.is_floating_point()]
        return np.concatenate([each.double().numpy().ravel() for each in found])

    def closed(self):
        """Name the spaces that nothing outside sees."""
        return closed(self.graph)

    def worst(self, spaces=None):
        """Give the largest change of any output, relative, as the units of each space are renumbered; and where."""
        before = self(self.values)
        scale = np.abs(before).max()
        found = [(0.0, "")]
        for space in self.closed() if spaces is None else spaces:
            after = self(self.values[moved(self.graph, space, self.total)])
            found.append((float(np.abs(after - before).max() / scale), space))
        return max(found)

    def plant(self, space):
        """Write into the model values of which units 0 and 1 of a space are alike."""
        values = self.values[planted(self.graph, space, self.total)]
        with torch.no_grad():
            for name, each in (*self.model.named_parameters(), *self.model.named_buffers()):
                if name in self.places:
                    each.copy_(torch.as_tensor(np.reshape(values[self.places[name]], self.shapes[name])).to(each.dtype))
