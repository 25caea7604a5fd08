"""The configuration in a Keras file says how its arrays are wired: units are followed from layer to layer.

The files of `tests/data/graphs` are of Keras, which runs them where it is installed.
"""

import copy
import os
import warnings

import numpy as np
import pytest

from symbreak.checkpoints import open_checkpoint, wire
from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._keras import keras_wiring
from symbreak.checkpoints.wiring._names import Names
from tests.checkpoints._make import DATA
from tests.checkpoints.wiring._permute import axes_over, closed, moved, places
from tests.checkpoints.wiring._planted import plantable, planted, tied

GRAPHS = DATA.parent / "graphs"
FILES = {  # spaces of which every axis is known
    "convolutions": ["stem", "squeeze", "side", "wide.heads", "wide.units", "groups.units", "open"],
    "first": ["stem", "side", "separable", "groups.heads", "groups.units", "open"],  # units before positions
    "row": ["wide", "inner.first"],
    "steps": ["table", "attention.query.heads", "attention.query.units", "attention.value.units", "up", "both.forward",
              "both.backward", "gated", "plain"],
}  # fmt: skip
SAME = 1e-5  # of the largest output
INVARIANT = ("key/bias",)  # a softmax doesn't see it


def opened(name):
    """Give the configuration in a file, and its arrays."""
    with open_checkpoint(GRAPHS / f"{name}.keras") as ckpt:
        return ckpt.structure, {key: np.array(ckpt[key]) for key in ckpt}


def graph_of(structure, arrays):
    shapes = {key: array.shape for key, array in arrays.items()}
    wiring = keras_wiring(structure, shapes)
    return build(wiring, Names.plain(shapes), arrays.__getitem__, {}).graph, wiring


class Runner:
    """A model that is run with the values of its arrays in one row."""

    def __init__(self, name):
        pytest.importorskip("torch").set_num_threads(1)
        if not os.environ.get("KERAS_BACKEND"):
            os.environ["KERAS_BACKEND"] = "torch"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras = pytest.importorskip("keras")
            self.model = keras.saving.load_model(GRAPHS / f"{name}.keras")
        self.structure, self.arrays = opened(name)
        self.places, self.total = places({key: array.shape for key, array in self.arrays.items()})
        self.graph, _ = graph_of(self.structure, self.places)
        rng = np.random.default_rng(0)
        self.values = np.zeros(self.total)
        for key, array in self.arrays.items():
            drawn = array + rng.uniform(-0.3, 0.3, array.shape)
            self.values[self.places[key].ravel()] = drawn.ravel()

    def __call__(self, values):
        for variable in self.model.weights:
            key = next(key for key in self.arrays if variable.path.endswith(key) or key.endswith("/" + variable.path))
            variable.assign(values[self.places[key]])
        shape = [2, *self.model.inputs[0].shape[1:]]
        count = np.arange(np.prod(shape)).reshape(shape)
        given = count % 7 if self.model.inputs[0].dtype == "int32" else np.sin(count * 0.7).astype("f4")
        return np.asarray(self.model(given, training=False).detach().cpu()).ravel()


@pytest.mark.parametrize("name", FILES)
def test_every_array_of_a_saved_model_is_in_its_graph(name):
    with open_checkpoint(GRAPHS / f"{name}.keras") as ckpt:
        found = wire(ckpt)
        assert found.rule == "Keras configuration"
        assert (dict(found.unknown), dict(found.apart)) == ({}, {})
        held = {each.partition("[")[0] for each in found.graph.arrays}
        assert {key for key in ckpt if "seed_generator" not in key} <= held
    assert sorted(closed(found.graph)) == sorted(FILES[name])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does(name):
    run = Runner(name)
    before = run(run.values)
    scale = np.abs(before).max()
    for space in closed(run.graph):
        after = run(run.values[moved(run.graph, space, run.total)])
        assert np.abs(after - before).max() < SAME * scale, space
        for array, number in axes_over(run.graph, space):
            if not array.endswith(INVARIANT):
                after = run(run.values[moved(run.graph, space, run.total, without=(array, number))])
                assert np.abs(after - before).max() > SAME * scale, (space, array, number)


@pytest.mark.parametrize("name", FILES)
def test_a_tie_in_any_space_is_found_and_none_where_there_is_none(name):
    structure, arrays = opened(name)
    at, total = places({key: array.shape for key, array in arrays.items()})
    graph, _ = graph_of(structure, at)
    values = np.random.default_rng(0).normal(size=total)

    def judged(values):
        return tied(graph_of(structure, {key: values[at[key]] for key in arrays})[0])

    assert judged(values) == set()
    for space in plantable(graph):
        assert judged(values[planted(graph, space, total)]), space


def layers_of(structure):
    """Yield the layers of a configuration, those of inner models too."""
    for layer in structure["config"]["layers"]:
        yield layer
        if "layers" in layer["config"]:
            yield from layers_of(layer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_where_a_layer_is_not_known_no_space_is_closed_that_is_not(name):
    run = Runner(name)
    before = run(run.values)
    scale = np.abs(before).max()
    for place, layer in enumerate(layers_of(run.structure)):
        if layer["class_name"] == "InputLayer" or place % 3:
            continue
        changed = copy.deepcopy(dict(run.structure))
        list(layers_of(changed))[place]["class_name"] = "Mystery"
        graph, wiring = graph_of(changed, run.places)
        reason = "a Mystery, isn't understood"
        assert graph is None or any(reason in each for each in wiring.unknown.values()), layer["name"]
        for space in closed(graph) if graph is not None else []:
            after = run(run.values[moved(graph, space, run.total)])
            assert np.abs(after - before).max() < SAME * scale, (layer["name"], space)


def row(*layers, shape=(None, 3), **arrays):
    """Wire a row of layers between two dense ones of 8 units: (class, configuration) of each, and its arrays."""
    listed = [("Dense", {"name": "in", "units": 8}), *layers, ("Dense", {"name": "out", "units": 2})]
    structure = {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": kind, "config": {"name": "it", **config}, "module": "keras.layers"}
                for kind, config in listed
            ],
            "build_input_shape": list(shape),
        },
    }  # fmt: skip
    tensors = {"in/kernel": np.ones((3, 8)), "out/kernel": np.ones((8, 2))} | {
        key.replace("_", "/", 1): np.asarray(array) for key, array in arrays.items()
    }
    return graph_of(structure, tensors)


@pytest.mark.parametrize(
    ("kind", "config", "reason"),
    [
        ("Lambda", {}, "the layer 'it', a Lambda, isn't understood: no rule knows it"),
        ("Dense", {"units": 8}, "the file has no kernel of it"),
        ("Dense", {"units": None}, "its units is no whole number"),
        ("Dense", {}, "its units is no whole number"),
        ("Conv1D", {"filters": 8, "data_format": "channels_around"}, "where its units lie isn't known"),
        ("MaxPooling1D", {"pool_size": [2, 2]}, "its pool_size doesn't fit its input"),
        ("LayerScale", {}, "it has not one scale"),
        ("GroupNormalization", {"groups": 3}, "8 units don't make 3 groups"),
        ("LayerNormalization", {"axis": [0, 1]}, "it normalizes over several axes"),
        ("Embedding", {"input_dim": 3, "output_dim": 8}, "units are looked up"),
        ("TimeDistributed", {"layer": {"class_name": "Flatten"}}, "a Flatten at each time is not followed"),
        ("Reshape", {"target_shape": [3, 3]}, "an axis of 8 is reshaped to 3"),
        ("Reshape", {}, "it isn't as Keras writes it"),
        ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 8}, "stand for several axes"),
        ("EinsumDense", {"equation": "aa,bc->ac", "output_shape": 8}, "its equation has a letter twice"),
        ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": [None]}, "how many units it writes isn't known"),
        ("Bidirectional", {"layer": {"class_name": "LSTM", "config": {"return_state": True}}},
         "its states are read or given"),
        ("Bidirectional", {"layer": {"class_name": "ConvLSTM1D", "config": {}}}, "no rule knows a ConvLSTM1D in it"),
        ("MultiHeadAttention", {}, "it isn't as Keras writes it"),
        ("Conv1D", {"filters": 8, "groups": 3}, "8 units don't make 3 groups"),
        ("DepthwiseConv1D", {"kernel_size": []}, "the file has no kernel of it"),
        ("SeparableConv1D", {"filters": 8}, "the file has no depthwise_kernel of it"),
        ("Mean", {}, "it takes everything together"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_not_known_and_the_reason_is_said(kind, config, reason):
    graph, wiring = row((kind, config))
    assert any(reason in each for each in wiring.unknown.values()), wiring.unknown
    assert closed(graph) == []


STEPS, IMAGE = (None, 5, 3), (None, 6, 6, 3)


@pytest.mark.parametrize(
    ("layers", "shape", "arrays", "known"),
    [
        ([("Conv1DTranspose", {"filters": 8, "kernel_size": [3], "strides": [2], "output_padding": [1]})], STEPS,
         {"it_kernel": np.ones((3, 8, 8))}, ["in", "it"]),
        ([("Conv1D", {"filters": 8, "kernel_size": [3]})], (None, None, 3), {"it_kernel": np.ones((3, 8, 8))},
         ["in", "it"]),
        ([("ZeroPadding2D", {"padding": 1})], IMAGE, {}, ["in"]),
        ([("GroupNormalization", {"groups": 1})], (None, 3), {"it_gamma": np.ones(8)}, ["in"]),
        ([("GroupNormalization", {"groups": 8})], (None, 3), {"it_gamma": np.ones(8)}, ["in"]),
        ([("GroupNormalization", {"groups": 2})], (None, 3), {"it_gamma": np.ones(8)}, ["in.heads", "in.units"]),
        ([("Normalization", {}), ("Activation", {"name": "f", "activation": "relu"})], (None, 3),
         {"it_mean": np.ones(8), "it_variance": np.ones(8), "it_count": np.array(1)}, ["in"]),
        ([("Dropout", {"rate": 0.5})], (None, 3), {"it_seed_generator/state": np.ones(2)}, ["in"]),
        ([("Bidirectional", {"layer": {"class_name": "SimpleRNN", "config": {"units": 8}}, "merge_mode": "sum"})],
         STEPS, {f"it_{way}_rnn/{leaf}": np.ones((8, 8)) for way in ("forward", "backward")
                 for leaf in ("kernel", "recurrent_kernel")}, ["in", "it.forward"]),
    ],
    ids=["stretched", "open", "edges", "one group", "groups of one", "groups", "statistics", "seed", "sum"],
)  # fmt: skip
def test_a_layer_that_treats_all_units_alike_keeps_their_spaces(layers, shape, arrays, known):
    graph, wiring = row(*layers, shape=shape, **arrays)
    assert not wiring.unknown
    assert closed(graph) == known
    assert {each.name for each in (*graph.connections, *graph.per_unit)} <= set(graph.arrays)
    read = wiring.spaces[known[0]].activation
    assert read == ("relu" if len(layers) == 2 else "identity")


@pytest.mark.parametrize(("bias", "known"), [("d", ["in", "it"]), ("bd", [])])
def test_a_bias_of_an_equation_is_of_units_and_one_of_positions_is_not_followed(bias, known):
    config = {"equation": "abc,cd->abd", "output_shape": [None, 8], "bias_axes": bias}
    arrays = {"it_kernel": np.ones((8, 8)), "it_bias": np.ones((5, 8)[-len(bias) :])}
    graph, wiring = row(("EinsumDense", config), shape=STEPS, **arrays)
    assert closed(graph) == known
    reason = "the layer 'it', a EinsumDense, isn't understood: its bias runs over positions"
    assert wiring.unknown.get("it/bias") == (None if known else reason)


def test_the_state_of_an_optimizer_is_no_layer_s():
    arrays = {"optimizer_in_kernel/momentum": np.ones((3, 8))}
    graph, wiring = row(("Activation", {"activation": "relu"}), **arrays)
    assert dict(wiring.ignored) == {"optimizer/in_kernel/momentum": "the state of an optimizer"}
    assert closed(graph) == ["in"]


def functional(*layers, shape=(None, 5, 3), ends=None, **arrays):
    """Wire layers as Keras 2 lists them: (class, name, configuration, what it is called on), and their arrays."""
    listed = [
        {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": [sources]}
        for kind, name, config, sources in layers
    ]
    entry = {"class_name": "InputLayer", "name": "x", "config": {"name": "x", "batch_input_shape": shape and [*shape]}}
    config = {"layers": [entry, *listed], "input_layers": [["x", 0, 0]], "output_layers": ends or [["out", 0, 0]]}
    arrays = {key.replace("_", "/", 1): np.asarray(array) for key, array in arrays.items()}
    return graph_of({"class_name": "Functional", "config": config}, arrays)


def on(*names, **keywords):
    """Give what a layer is called on; the first may have keywords."""
    return [[name, 0, place, keywords if number == 0 else {}]
            for number, (name, place) in enumerate(each.split(":") if ":" in each else (each, 0) for each in names)
            for place in [int(place)]]  # fmt: skip


DENSE = {"in_kernel": np.ones((3, 8)), "out_kernel": np.ones((8, 2))}
FIRST, LAST = ("Dense", "in", {"units": 8}, on("x")), ("Dense", "out", {"units": 2}, on("it"))
HEADS = {"num_heads": 2, "key_dim": 4}
HEADED = DENSE | {f"it_{leaf}/kernel": np.ones((8, 2, 4)) for leaf in ("query", "key", "value")} | {
    "it_attention_output/kernel": np.ones((2, 4, 8))}  # fmt: skip


def test_what_a_layer_of_keras_2_is_given_by_keyword_is_an_input():
    """So attention has its value; a number or a flag is none."""
    attention = ("MultiHeadAttention", "it", HEADS, on("in", value=["in", 0, 0], training=False))
    graph, wiring = functional(FIRST, attention, LAST, **HEADED)
    assert not wiring.unknown
    assert set(graph.readers("in")) == {"it/query/kernel", "it/key/kernel", "it/value/kernel"}
    assert "in" in closed(graph)


@pytest.mark.parametrize(
    ("config", "shape", "reason"),
    [
        (HEADS, (None, 3), "it attends over several axes, or is gated"),
        (HEADS | {"use_gate": True}, (None, 5, 3), "it attends over several axes, or is gated"),
        (HEADS | {"output_shape": [2, 4]}, (None, 5, 3), "it gives out several axes"),
        (HEADS | {"output_shape": "wide"}, (None, 5, 3), "how many units it gives out isn't known"),
    ],
)
def test_attention_that_is_not_followed_tells_apart_what_it_reads(config, shape, reason):
    attention = ("MultiHeadAttention", "it", config, on("in", "in"))
    graph, wiring = functional(FIRST, attention, LAST, shape=shape, **HEADED)
    assert reason in wiring.unknown["it/query/kernel"]
    assert wiring.spaces["in"].apart
    assert closed(graph) == []


def test_a_recurrent_layer_begins_with_the_units_that_it_is_given():
    mean = ("GlobalAveragePooling1D", "mean", {}, on("in"))
    rnn = ("SimpleRNN", "it", {"units": 8}, on("x", "mean"))
    arrays = DENSE | {"it_rnn/kernel": np.ones((3, 8)), "it_rnn/recurrent_kernel": np.ones((8, 8))}
    graph, wiring = functional(FIRST, mean, rnn, LAST, **arrays)
    assert not wiring.unknown
    (space,) = closed(graph)
    assert set(graph.writers(space)) == {"in/kernel", "it/rnn/kernel", "it/rnn/recurrent_kernel"}


def test_the_directions_of_a_layer_that_merges_none_are_two_outputs():
    inner = {"class_name": "SimpleRNN", "config": {"units": 8}}
    both = ("Bidirectional", "it", {"layer": inner, "merge_mode": None}, on("in"))
    last = ("Dense", "out", {"units": 2}, on("it:1"))
    ways = {f"it_{way}_rnn/{leaf}": np.ones((8, 8)) for way in ("forward", "backward")
            for leaf in ("kernel", "recurrent_kernel")}  # fmt: skip
    graph, wiring = functional(FIRST, both, last, **DENSE, **ways, ends={"a": ["out", 0, 0], "b": ["it", 0, 0]})
    assert not wiring.unknown
    assert set(graph.readers("it.backward")) == {"out/kernel", "it/backward_rnn/recurrent_kernel"}
    assert "it.forward" in graph.outputs
    assert closed(graph) == ["in", "it.backward"]


@pytest.mark.parametrize(("shape", "ends"), [(None, None), ((None, 5, 3), "none")])
def test_without_the_shape_of_an_input_nothing_is_known_and_without_outputs_no_unit_is_seen(shape, ends):
    graph, wiring = functional(FIRST, ("Dense", "it", {"units": 8}, on("in")), LAST, shape=shape, ends=ends,
                               **DENSE, it_kernel=np.ones((8, 8)))  # fmt: skip
    if shape is None:
        assert graph is None
        assert all("something before it isn't understood" in each for each in wiring.unknown.values())
    else:
        assert not wiring.unknown
        assert not any(spec.output for spec in wiring.spaces.values())


def test_a_class_of_one_s_own_is_not_known_though_it_has_the_name_of_another():
    structure = {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "Dense", "config": {"name": "in", "units": 8}, "registered_name": "mine>Dense"},
                {"class_name": "Dense", "config": {"name": "out", "units": 2}, "module": "mine"},
            ],
            "build_input_shape": [None, 3],
        },
    }
    _, wiring = graph_of(structure, {"in/kernel": np.ones((3, 8)), "out/kernel": np.ones((8, 2))})
    assert "it is no layer of Keras" in wiring.unknown["in/kernel"]
    assert set(wiring.unknown) == {"in/kernel", "out/kernel"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"layers": [{"class_name": "Dense"}]}, "its configuration isn't as Keras writes it"),
        ({"layers": [{"class_name": "Dense", "config": {}}], "build_input_shape": [None, 3]}, "a layer has no name"),
        ({"layers": [{"class_name": "Dense", "config": {"name": "a"}, "inbound_nodes": [[["b", 0, 0, {}]]]}],
          "input_layers": [], "output_layers": [["a", 0, 0]]}, "a layer reads what no layer writes"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_malformed_makes_nothing_known(config, reason):
    kind = "Functional" if "input_layers" in config else "Sequential"
    wiring = keras_wiring({"class_name": kind, "config": config}, {"a/kernel": (3, 2)})
    assert (wiring.statements, dict(wiring.unknown)) == ([], {"a/kernel": reason})


def test_models_in_models_without_end_are_refused():
    inner = {"class_name": "Dense", "config": {"name": "a", "units": 2}, "module": "keras.layers"}
    for _ in range(30):
        inner = {
            "class_name": "Sequential",
            "config": {"name": "m", "layers": [inner], "build_input_shape": [None, 3]},
            "module": "keras",
        }
    wiring = keras_wiring(inner, {"m/kernel": (3, 2)})
    assert wiring.statements == []


def test_a_functional_model_of_keras_2_is_read():
    """Its layers name what they are called on by a list, and not by a table."""
    structure = {
        "class_name": "Functional",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3], "name": "x"}, "name": "x",
                 "inbound_nodes": []},
                {"class_name": "Dense", "config": {"units": 8, "name": "a", "activation": "relu"}, "name": "a",
                 "inbound_nodes": [[["x", 0, 0, {}]]]},
                {"class_name": "Dense", "config": {"units": 8, "name": "b"}, "name": "b",
                 "inbound_nodes": [[["a", 0, 0, {}]]]},
                {"class_name": "Add", "config": {"name": "sum"}, "name": "sum",
                 "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]]},
                {"class_name": "Dense", "config": {"units": 2, "name": "c"}, "name": "c",
                 "inbound_nodes": [[["sum", 0, 0, {}]]]},
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["c", 0, 0]],
        },
    }  # fmt: skip
    arrays = {"m/a/kernel": np.ones((3, 8)), "m/b/kernel": np.ones((8, 8)), "m/c/kernel": np.ones((8, 2))}
    graph, wiring = graph_of(structure, arrays)
    assert not wiring.unknown
    assert graph.writers("a") == ("m/a/kernel", "m/b/kernel")
    assert graph.readers("a") == ("m/b/kernel", "m/c/kernel")
    assert closed(graph) == ["a"]


def test_a_norm_that_two_layers_share_ties_none_of_their_units():
    said = [("Input", "x", None), ("Dense", "a", "x"), ("LayerNormalization", "n", "a"), ("Dense", "b", "n"),
            ("LayerNormalization", "n", "b"), ("Dense", "c", "n")]  # fmt: skip
    layers = {}
    for kind, name, source in said:
        layer = layers.setdefault(name, {
            "class_name": kind if name != "x" else "InputLayer", "name": name, "inbound_nodes": [],
            "config": {"name": name, "units": 2 if name == "c" else 8, "batch_input_shape": [None, 3]},
        })  # fmt: skip
        if source is not None:
            layer["inbound_nodes"].append([[source, 1 if (name, source) == ("c", "n") else 0, 0, {}]])
    config = {"layers": list(layers.values()), "input_layers": [["x", 0, 0]], "output_layers": [["c", 0, 0]]}
    arrays = {"a/kernel": np.ones((3, 8)), "b/kernel": np.ones((8, 8)), "c/kernel": np.ones((8, 2)),
              "n/gamma": np.ones(8), "n/beta": np.zeros(8)}  # fmt: skip
    graph, wiring = graph_of({"class_name": "Functional", "config": config}, arrays)
    assert not wiring.unknown
    assert closed(graph) == []
    assert wiring.spaces["a"].apart == "they share an array with units of another space"


def test_a_file_of_weights_alone_is_wired_by_names():
    with open_checkpoint(DATA / "keras_3_15.weights.h5") as ckpt:
        assert wire(ckpt).rule != "Keras configuration"
