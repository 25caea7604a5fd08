"""Keras: variables bear its names where the file says them for certain, and their numbers where it does not."""

import json
import zipfile
from types import SimpleNamespace

import h5py
import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import _keras, find_checkpoints, open_checkpoint
from symbreak.checkpoints._keras_names import snake_case
from symbreak.checkpoints._spool import Spooled
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, Zip, read_all

KERNEL, BIAS = np.arange(6, dtype="f4").reshape(2, 3), np.arange(3, dtype="f4")
ARCHIVES = ["keras_3_15.keras", "keras_3_3.keras", "keras_3_15_packed.keras", "keras_3_3_packed.keras"]


def hdf5(tmp_path, datasets, attributes=None, name="a.weights.h5"):
    """Write datasets and attributes by their paths."""
    with h5py.File(tmp_path / name, "w") as file:
        for path, value in datasets.items():
            file[path] = value
        for path, facts in (attributes or {}).items():
            for key, value in facts.items():
                file.require_group(path).attrs[key] = value
    return tmp_path / name


def archive(tmp_path, layers, datasets, **others):
    """Write an archive of a sequential model."""
    weights = hdf5(tmp_path, datasets, name="inner.h5").read_bytes()
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    members = {"config.json": json.dumps(config).encode(), "model.weights.h5": weights} | others
    made = Zip()
    for member, data in members.items():
        if data is not None:
            made.add(member, data)
    (tmp_path / "a.keras").write_bytes(made.bytes())
    return tmp_path / "a.keras"


def layer(kind, name="l", module="keras.layers", **config):
    return {"module": module, "class_name": kind, "config": {"name": name} | config}


def vars_of(path, *shapes, dtype="f4"):
    return {f"{path}/vars/{i}": np.zeros(shape, dtype) for i, shape in enumerate(shapes)}


def skipped(path):
    with open_checkpoint(path) as ckpt:
        return {item.name: item.reason for item in ckpt.skipped}


# Archives.


@pytest.mark.parametrize("file", ARCHIVES)
def test_the_configuration_is_kept_as_data_and_so_are_the_notes(file):
    with open_checkpoint(DATA / file) as ckpt, zipfile.ZipFile(DATA / file) as members:
        assert ckpt.format == "keras"
        assert ckpt.structure == json.loads(members.read("config.json"))
        assert ckpt.metadata == json.loads(members.read("metadata.json"))
        assert ckpt.skipped == ()


@pytest.mark.parametrize("file", ARCHIVES)
def test_weights_are_mapped_where_they_lie_or_where_they_were_unpacked(file):
    with open_checkpoint(DATA / file) as ckpt:
        names = [name for name in ckpt if ckpt.tensors[name].shape]
        arrays = {name: ckpt[name] for name in names}
        assert all(np.shares_memory(ckpt[name], array) for name, array in arrays.items())
    assert all(array.sum() >= 0 for array in arrays.values())  # after the end of the file too


def test_unpacked_weights_leave_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    read_all(DATA / "keras_3_15_packed.keras")
    assert list(tmp_path.iterdir()) == []


def test_without_a_configuration_layers_bear_automatic_names_and_that_is_said(tmp_path):
    path = archive(tmp_path, [], vars_of("layers/dense_1", (2, 3), (3,)), **{"config.json": None})
    assert list(read_all(path)) == ["dense_1/kernel", "dense_1/bias"]
    assert skipped(path) == {"config.json": "the archive does not have it; layers bear automatic names"}


def test_a_configuration_that_is_damaged_is_reported_and_the_weights_are_read(tmp_path):
    path = archive(tmp_path, [], vars_of("layers/dense", (2, 3)), **{"config.json": b'{"a": 1, "a": 2}'})
    assert list(read_all(path)) == ["dense/kernel"]
    assert skipped(path) == {"config.json": "config.json has the key 'a' twice"}


def test_a_fault_after_the_weights_were_opened_ends_the_process_that_reads_them(monkeypatch):
    files = []
    monkeypatch.setattr(_keras, "variable_names", lambda file, config: files.append(file) or file.nothing)
    with pytest.raises(AttributeError, match="nothing"):
        open_checkpoint(DATA / "keras_3_15.keras")
    assert files[0]._child._idle == []


def test_weights_that_are_packed_are_read_where_a_file_may_have_no_name(monkeypatch):
    monkeypatch.setattr(_keras, "os", SimpleNamespace(name="nt"))
    message = r"'model.weights.h5' is packed, which is read on other systems only; store it"
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(DATA / "keras_3_15_packed.keras")
    assert read_all(DATA / "keras_3_15.keras")


def test_a_fault_after_the_weights_were_unpacked_lets_go_of_them(monkeypatch):
    made = []
    monkeypatch.setattr(_keras, "Spooled", lambda *parts: made.append(Spooled(*parts)) or made[0])
    monkeypatch.setattr(_keras, "variable_names", lambda file, config: file.nothing)
    with pytest.raises(AttributeError):
        open_checkpoint(DATA / "keras_3_15_packed.keras")
    with pytest.raises(ValueError, match="closed file"):
        made[0].reopen()


def test_a_configuration_that_unpacks_a_hundredfold_is_not_unpacked(tmp_path):
    path = archive(tmp_path, [], {})
    made = Zip().add("config.json", b"{" + b" " * 2_000_000 + b"}", method=8)
    path.write_bytes(made.add("model.weights.h5", (tmp_path / "inner.h5").read_bytes()).bytes())
    (reason,) = skipped(path).values()
    assert reason.startswith("it would unpack from ")


def test_what_keras_does_not_write_is_reported_and_vocabularies_are_not(tmp_path):
    path = archive(tmp_path, [], {}, **{"assets/words.txt": b"x", "run.py": b"x"})
    assert skipped(path) == {"run.py": "a part of the archive that Keras does not write"}


def test_an_archive_without_weights_is_refused_and_listed(tmp_path):
    path = archive(tmp_path, [], {}, **{"model.weights.h5": None})
    with pytest.raises(BadCheckpoint, match=r"it has no model\.weights\.h5, where Keras puts the weights"):
        open_checkpoint(path)
    assert find_checkpoints(tmp_path)[0] == path


def test_a_stored_part_that_is_damaged_is_found_by_its_checksum(tmp_path):
    path = archive(tmp_path, [layer("Dense", use_bias=False)], {"layers/dense/vars/0": KERNEL})
    data = path.read_bytes()
    path.write_bytes(data.replace(KERNEL.tobytes(), (KERNEL + 1).tobytes()))
    with open_checkpoint(path) as ckpt, pytest.raises(BadCheckpoint, match="is damaged: its checksum does not match"):
        ckpt["l/kernel"]


# Names.

NAMES = {
    "a layer by its own name": (
        [layer("Dense", "fc1")],
        vars_of("layers/dense", (2, 3), (3,)),
        ["fc1/kernel", "fc1/bias"],
    ),
    "layers of a class are counted, each class for itself": (
        [layer("Dense", "a"), layer("Conv2D", "b"), layer("Dense", "c", use_bias=False)],
        vars_of("layers/dense_1", (2, 3)) | vars_of("layers/conv2d", (1, 1, 2, 3), (3,)),
        ["c/kernel", "b/kernel", "b/bias"],
    ),
    "operations are no layers": (
        [layer("Dense", "op", module="keras.src.ops.numpy"), layer("Dense", "a")],
        vars_of("layers/dense", (2, 3)),
        ["a/vars/0"],  # the configuration says nothing of a bias that is not there
    ),
    "models in models": (
        [layer("Sequential", "outer", layers=[layer("Functional", "inner", layers=[layer("Embedding", "words")])])],
        vars_of("layers/sequential/layers/functional/layers/embedding", (5, 2)),
        ["outer/inner/words/embeddings"],
    ),
    "a layer in a wrapper": (
        [layer("TimeDistributed", "t", layer=layer("Dense", "d"))],
        vars_of("layers/time_distributed/layer", (2, 3), (3,)),
        ["t/d/kernel", "t/d/bias"],
    ),
    "both directions": (
        [layer("Bidirectional", "b", layer=layer("GRU", "forward_gru", use_bias=False))],
        vars_of("layers/bidirectional/backward_layer/cell", (2, 9), (3, 9))
        | vars_of("layers/bidirectional/forward_layer/cell", (2, 9), (3, 9)),
        [f"b/{d}_gru/gru_cell/{k}" for d in ("backward", "forward") for k in ("kernel", "recurrent_kernel")],
    ),
    "a direction of its own": (
        [layer("Bidirectional", "b", layer=layer("LSTM", "x"), backward_layer=layer("GRU", "y"))],
        vars_of("layers/bidirectional/backward_layer/cell", (2, 9), (3, 9), (2, 9)),
        [f"b/backward_y/gru_cell/{k}" for k in ("kernel", "recurrent_kernel", "bias")],
    ),
    "heads, also under private attributes": (
        [layer("MultiHeadAttention", "m")],
        vars_of("layers/multi_head_attention/_query_dense", (4, 2, 3), (2, 3)),
        ["m/query/kernel", "m/query/bias"],
    ),
    "what the configuration switches off": (
        [layer("BatchNormalization", "n", center=False)],
        vars_of("layers/batch_normalization", (3,), (3,), (3,)),
        ["n/gamma", "n/moving_mean", "n/moving_variance"],
    ),
    "a generator of random numbers": (
        [layer("Dropout", "d")],
        vars_of("layers/dropout/seed_generator", (2,), dtype="u4"),
        ["d/seed_generator/seed_generator_state"],
    ),
    "a class of somebody's": (
        [layer("Dense", "mine", module=None)],
        vars_of("layers/dense", (2, 3), (3,)),
        ["mine/vars/0", "mine/vars/1"],
    ),
    "a class of another package": (
        [layer("Dense", "mine", module="kerasify.layers")],
        vars_of("layers/dense", (2, 3), (3,)),
        ["mine/vars/0", "mine/vars/1"],
    ),
    "another number of variables than the class has": (
        [layer("Dense", "d")],
        vars_of("layers/dense", (2, 3), (3,), (3,)),
        ["d/vars/0", "d/vars/1", "d/vars/2"],
    ),
    "shapes that do not fit": ([layer("Dense", "d")], vars_of("layers/dense", (2, 3), (2,)), ["d/vars/0", "d/vars/1"]),
    "a quantized kernel": (
        [layer("Dense", "d")],
        vars_of("layers/dense", (2, 3), (3,), dtype="i1"),
        ["d/vars/0", "d/vars/1"],
    ),
    "a number that is left out": (
        [layer("Dense", "d")],
        {"layers/dense/vars/0": KERNEL, "layers/dense/vars/2": BIAS},
        ["d/vars/0", "d/vars/2"],
    ),
    "two layers of one name keep their paths": (
        [layer("Dense", "d"), layer("Dense", "d")],
        vars_of("layers/dense", (2, 3), (3,)) | vars_of("layers/dense_1", (2, 3), (3,)),
        [f"layers/{d}/vars/{i}" for d in ("dense", "dense_1") for i in (0, 1)],
    ),
    "a configuration that is none": (
        [1, None, {"class_name": 5}, {"class_name": "Dense", "config": []}],
        vars_of("layers/dense", (2, 3), (3,)),
        ["dense/kernel", "dense/bias"],
    ),
    "the optimizer": (
        [layer("Dense", "d")],
        vars_of("optimizer", (), (2, 3)) | vars_of("d_optimizer", (2, 3)),
        ["optimizer/vars/0", "optimizer/vars/1", "d_optimizer/vars/0"],
    ),
    "what is no variable": ([], {"other/w": KERNEL, "vars/0": BIAS}, ["other/w", "vars/0"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_in_an_archive(tmp_path, case):
    layers, datasets, names = NAMES[case]
    assert list(read_all(archive(tmp_path, layers, datasets))) == names


BARE = {
    "a class by the automatic name": ("layers/dense_12", ((2, 3), (3,)), None, ["dense_12/kernel", "dense_12/bias"]),
    "a name that the file has": ("layers/dense", ((2, 3),), "fc1", ["fc1/kernel"]),
    "an attribute of a model": ("fc1", ((2, 3), (3,)), None, ["fc1/vars/0", "fc1/vars/1"]),
    "an attribute whose layer has an automatic name": ("fc1", ((2, 3), (3,)), "dense_3",
                                                       ["dense_3/kernel", "dense_3/bias"]),
    "a list of layers": ("blocks/dense_1", ((2, 3),), None, ["blocks/dense_1/kernel"]),
    "a norm with all": ("layers/batch_normalization", ((3,),) * 4, None,
                        [f"batch_normalization/{k}" for k in ("gamma", "beta", "moving_mean", "moving_variance")]),
    "a norm with neither": ("layers/batch_normalization", ((3,),) * 2, None,
                            [f"batch_normalization/{k}" for k in ("moving_mean", "moving_variance")]),
    "a norm with either": ("layers/batch_normalization", ((3,),) * 3, None,
                           [f"batch_normalization/vars/{i}" for i in range(3)]),
    "a cell of any kind": ("r/cell", ((2, 8), (2, 8), (8,)), None,
                           [f"r/cell/{k}" for k in ("kernel", "recurrent_kernel", "bias")]),
    "no cell": ("r/cell", ((2, 8), (8,), (8,)), None, [f"r/cell/vars/{i}" for i in range(3)]),
    "a dense layer of three axes": ("layers/dense", ((2, 3, 4), (4,)), None, ["dense/vars/0", "dense/vars/1"]),
    "TensorFlow 2.12": ("_layer_checkpoint_dependencies/dense", ((2, 3),), None, ["dense/kernel"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BARE)
def test_names_in_a_file_of_weights_alone(tmp_path, case):
    path, shapes, name, names = BARE[case]
    attributes = {} if name is None else {f"{path}/vars": {"name": name}}
    made = hdf5(tmp_path, vars_of(path, *shapes), attributes)
    assert list(read_all(made)) == names
    with open_checkpoint(made) as ckpt:
        assert ckpt.format == "keras-h5"


def test_variables_are_in_the_order_of_their_numbers_also_beyond_nine(tmp_path):
    path = hdf5(tmp_path, vars_of("odd", *[(i + 1,) for i in range(12)]))
    assert [len(array) for array in read_all(path).values()] == list(range(1, 13))


def test_bfloat16_is_told_by_the_note_beside_it(tmp_path):
    half = KERNEL.astype(ml_dtypes.bfloat16)
    path = hdf5(tmp_path, {"layers/dense/vars/0": half, "layers/odd/vars/0": half})
    with h5py.File(path, "a") as file:
        file["layers/dense/vars/0"].attrs["dtype"] = "bfloat16"
    assert read_all(path)["dense/kernel"].dtype == ml_dtypes.bfloat16
    assert (read_all(path)["dense/kernel"] == half).all()
    assert skipped(path) == {"layers/odd/vars/0": "it holds opaque bytes"}


# Whole models of before.


def legacy(layers, group="", **root):
    """Attributes that list layers and their weights."""
    top = f"{group}/" if group else ""
    listed = {f"{top}{name}": {"weight_names": weights} for name, weights in layers.items()}
    return listed | {group or "/": {"layer_names": list(layers)}} | ({"/": root} if group else {})


@pytest.mark.parametrize("group", ["", "model_weights"])
def test_weights_are_called_as_the_file_lists_them_in_its_order(tmp_path, group):
    layers = {"z": ["z/kernel:0", "z/bias:0"], "a": ["a/kernel"], "none": []}
    top = f"{group}/" if group else ""
    datasets = {f"{top}a/a/kernel": KERNEL, f"{top}z/z/bias:0": BIAS, f"{top}z/z/kernel:0": KERNEL}
    path = hdf5(tmp_path, datasets, legacy(layers, group))
    assert list(read_all(path)) == ["z/kernel", "z/bias", "a/kernel"]
    assert skipped(path) == {}


def test_a_layer_in_two_places_has_its_weights_in_both(tmp_path):
    layers = {"enc": ["d/kernel:0"], "td": ["d/kernel:0", "e/kernel:0"]}
    datasets = {"enc/d/kernel:0": KERNEL, "td/d/kernel:0": KERNEL, "td/e/kernel:0": KERNEL}
    assert list(read_all(hdf5(tmp_path, datasets, legacy(layers)))) == ["enc/d/kernel", "td/d/kernel", "e/kernel"]


def test_lists_in_numbered_parts_are_joined(tmp_path):
    attributes = {"/": {"layer_names0": ["a"], "layer_names1": ["b"]}}
    attributes |= {"a": {"weight_names0": ["a/x:0"], "weight_names1": ["a/y:0"]}, "b": {"weight_names": ["b/z:0"]}}
    datasets = {"b/b/z:0": BIAS, "a/a/y:0": BIAS, "a/a/x:0": BIAS}
    assert list(read_all(hdf5(tmp_path, datasets, attributes))) == ["a/x", "a/y", "b/z"]


def test_a_weight_that_is_listed_but_not_there_is_reported(tmp_path):
    path = hdf5(tmp_path, {"a/a/kernel": KERNEL}, legacy({"a": ["a/kernel", "a/bias"]}))
    assert skipped(path) == {"a/bias": "the file lists it in the layer 'a', but does not hold it"}


def test_a_weight_that_is_listed_and_not_read_is_reported_once(tmp_path):
    path = hdf5(tmp_path, {"a/a/kernel": KERNEL, "a/a/odd": np.zeros(2, "V2")}, legacy({"a": ["a/kernel", "a/odd"]}))
    assert skipped(path) == {"a/a/odd": "it holds opaque bytes"}


def test_lists_that_are_a_text_list_nothing(tmp_path):
    path = hdf5(tmp_path, {"a/a/kernel": KERNEL}, {"/": {"layer_names": "a"}, "a": {"weight_names": ["a/kernel"]}})
    assert list(read_all(path)) == ["a/a/kernel"]


def test_the_configuration_of_a_whole_model_is_kept(tmp_path):
    for file in ("keras_3_15.h5", "keras_3_3.h5"):
        with open_checkpoint(DATA / file) as ckpt:
            assert ckpt.structure["config"]["name"] == "bare"
            assert ckpt.format == "keras-h5"
            assert ckpt.metadata["backend"] == "jax"
            assert "model_config" not in ckpt.metadata
    bad = hdf5(tmp_path, {}, legacy({}, "model_weights", model_config="{"))
    assert list(skipped(bad)) == ["model_config"]


@pytest.mark.parametrize("file", ["keras_3_15.keras", "keras_3_15.h5"])
def test_the_state_of_the_optimizer_is_read_but_not_judged_as_weights(tmp_path, file):
    with open_checkpoint(DATA / file) as ckpt:
        moments = [name for name in ckpt if name.startswith("optimizer") and len(ckpt.tensors[name].shape) == 2]
        weights = [name for name in ckpt if name.endswith("kernel")]
    assert moments
    assert weights
    still = np.zeros((4, 3), "f4")
    assert sb.diagnose(dict.fromkeys(moments, still)).ok
    assert not sb.diagnose(dict.fromkeys(weights, still)).ok


# Beside Keras itself.


def test_classes_are_written_as_keras_writes_them():
    keras = pytest.importorskip("keras")
    from keras.src.utils.naming import to_snake_case

    kinds = [name for name in dir(keras.layers) if name[0].isupper()]
    assert {kind: snake_case(kind) for kind in kinds} == {kind: to_snake_case(kind) for kind in kinds}


def live_layers(layers):
    yield from ((layers.Dense(3, use_bias=bias), (2, 4)) for bias in (True, False))
    yield from ((kind(3, 2), (2, 6, 4)) for kind in (layers.Conv1D, layers.Conv1DTranspose, layers.SeparableConv1D))
    yield from ((kind(3, 2), (2, 6, 6, 4)) for kind in (layers.Conv2D, layers.Conv2DTranspose, layers.SeparableConv2D))
    yield from ((kind(3, 2), (2, 6, 6, 6, 4)) for kind in (layers.Conv3D, layers.Conv3DTranspose))
    yield layers.DepthwiseConv1D(2), (2, 6, 4)
    yield layers.DepthwiseConv2D(2, use_bias=False), (2, 6, 6, 4)
    yield from (
        (kind(3, use_bias=bias), (2, 5, 4)) for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN) for bias in (0, 1)
    )
    yield layers.ConvLSTM2D(3, 2), (2, 5, 6, 6, 4)
    yield layers.Bidirectional(layers.GRU(3)), (2, 5, 4)
    yield layers.TimeDistributed(layers.Dense(3)), (2, 5, 4)
    yield layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), (2, 5, 4)
    yield layers.EinsumDense("abc,cd->abd", (None, 3)), (2, 5, 4)
    yield from ((layers.BatchNormalization(center=c, scale=s), (2, 4)) for c in (0, 1) for s in (0, 1))
    yield from ((layers.LayerNormalization(center=c, scale=s), (2, 4)) for c in (0, 1) for s in (0, 1))
    yield from ((layers.GroupNormalization(2, center=c, scale=s), (2, 4)) for c in (0, 1) for s in (0, 1))
    yield layers.PReLU(), (2, 4)
    yield layers.Dropout(0.1), (2, 4)


@pytest.mark.filterwarnings("default")
def test_every_class_of_keras_has_the_names_of_keras(tmp_path):
    keras = pytest.importorskip("keras")
    for made, shape in live_layers(keras.layers):
        inputs = keras.Input(shape[1:])
        model = keras.Model(inputs, made(inputs), name="m")
        model.save(tmp_path / "a.keras")
        model.save_weights(tmp_path / "a.weights.h5")
        expected = {variable.path.removeprefix(f"{made.name}/"): np.asarray(variable) for variable in model.variables}
        found = {name.removeprefix(f"{made.name}/"): array for name, array in read_all(tmp_path / "a.keras").items()}
        assert {name for name in expected if "seed_generator" not in name} <= set(found) <= set(expected), made
        assert all((found[name] == expected[name]).all() for name in found)
        bare = read_all(tmp_path / "a.weights.h5")
        assert {name.rpartition("/")[2] for name in bare} <= {name.rpartition("/")[2] for name in expected} | set(
            "0123"
        )


@pytest.mark.filterwarnings("default")
def test_heads_and_embeddings_have_the_names_of_keras(tmp_path):
    keras = pytest.importorskip("keras")
    x = words = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 4, name="words")(x)
    x = keras.layers.MultiHeadAttention(2, 3, name="heads")(x, x)
    x = keras.layers.GroupQueryAttention(3, 2, 1, name="shared")(x, x)
    model = keras.Model(words, x, name="m")
    model.save(tmp_path / "a.keras")
    assert sorted(read_all(tmp_path / "a.keras")) == sorted(variable.path for variable in model.variables)
