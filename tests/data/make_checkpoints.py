"""Write the small files of `tests/data/checkpoints` with the formats' own libraries: the readers' oracles.

Run it where torch, safetensors and ml_dtypes are installed, and gguf, onnx or flax for their parts; parts that are
named, as in `make_checkpoints.py gguf legacy`, are written alone. hdf5, mat73 (with hdf5storage) and keras need no
torch, and keras is run once for each version of Keras. The tests read what it wrote, so that they need none of them.
`expected.jsonl` holds what each file should give, bit for bit.
"""

import argparse
import json
import pathlib
import sys
import unittest.mock
import warnings
import zipfile

import ml_dtypes
import numpy as np

try:
    import safetensors.numpy
    import safetensors.torch
    import torch
except ImportError:  # the parts that need them say so
    torch = None

FOLDER = pathlib.Path(__file__).parent / "checkpoints"
EXPECTED: dict[str, dict[str, np.ndarray]] = {}


def values(*shape, dtype="float32", start=0.0):
    """Distinct values that every float type holds exactly."""
    return (np.arange(np.prod(shape, dtype=int)).reshape(shape) * 0.5 + start).astype(dtype)


def array(tensor):
    """A torch tensor as NumPy has it, 16- and 8-bit floats included."""
    tensor = tensor.detach().contiguous()
    name = str(tensor.dtype).removeprefix("torch.")
    if hasattr(ml_dtypes, name):
        return tensor.view(torch.uint8 if tensor.itemsize == 1 else torch.uint16).numpy().view(getattr(ml_dtypes, name))
    return tensor.numpy()


class Module(torch.nn.Module if torch else object):
    """A module of our own: the old format saves the source of each class with it."""

    def __init__(self, inner=None):
        super().__init__()
        self.w = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
        self.inner = inner


def save_npy():
    for name, saved in {
        "plain": values(3, 4),
        "fortran": np.asfortranarray(values(3, 4)),
        "big_endian": values(3, 4, dtype=">f8"),
        "scalar": np.float16(1.5),
        "empty": values(0, 4),
    }.items():
        np.save(FOLDER / f"{name}.npy", saved)
        EXPECTED[f"{name}.npy"] = {"array": np.asarray(saved)}
    with (FOLDER / "version_2.npy").open("wb") as file:
        np.lib.format.write_array(file, values(2, 2), version=(2, 0))
    with (FOLDER / "version_3.npy").open("wb") as file:
        np.lib.format.write_array(file, values(2, 2), version=(3, 0))
    EXPECTED["version_2.npy"] = EXPECTED["version_3.npy"] = {"array": values(2, 2)}


def save_npz():
    arrays = {"fc1.weight": values(3, 4), "block/0": np.asfortranarray(values(2, 5)), "flags": np.array([True, False])}
    np.savez(FOLDER / "stored.npz", **arrays)
    np.savez_compressed(FOLDER / "deflated.npz", **arrays)
    EXPECTED["stored.npz"] = EXPECTED["deflated.npz"] = arrays


def save_safetensors():
    arrays = {
        "zeta": values(2, 3),
        "alpha": values(4, dtype="float16"),
        "half": values(3, dtype=ml_dtypes.bfloat16),
        "counts": np.arange(3),
        "flags": np.array([True, False, True]),
        "nothing": values(0, 3),
    }
    safetensors.numpy.save_file(arrays, FOLDER / "numpy.safetensors", metadata={"format": "np"})
    EXPECTED["numpy.safetensors"] = arrays
    tensors = {
        "bf16": torch.arange(6).reshape(2, 3).to(torch.bfloat16),
        "e4m3": torch.arange(4).to(torch.float8_e4m3fn),
        "e5m2": torch.arange(4).to(torch.float8_e5m2),
        "u16": torch.arange(4).to(torch.uint16),
        "c64": torch.arange(2).to(torch.complex64),
    }
    safetensors.torch.save_file(tensors, FOLDER / "torch.safetensors")
    EXPECTED["torch.safetensors"] = {name: array(tensor) for name, tensor in tensors.items()}


def save_torch():
    torch.manual_seed(0)
    shared = torch.arange(6.0).reshape(2, 3)
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "transposed": torch.arange(6.0).reshape(2, 3).t(),
        "sliced": torch.arange(10.0)[2:9:2],
        "tied.a": shared,
        "tied.b": shared,
        "expanded": torch.tensor([7.0]).expand(3, 4),
        "parameter": torch.nn.Parameter(torch.arange(3.0)),
        "buffer": torch.nn.Buffer(torch.arange(3.0)),
        "half": torch.arange(4.0).half(),
        "bf16": torch.arange(4.0).bfloat16(),
        "e4m3": torch.arange(4.0).to(torch.float8_e4m3fn),
        "u16": torch.arange(3).to(torch.uint16),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "nothing": torch.zeros(0, 3),
    }
    torch.save(state, FOLDER / "state.pt")
    EXPECTED["state.pt"] = {name: array(tensor) for name, tensor in state.items()}
    nested = {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(rate=0.1, path=pathlib.PurePosixPath("runs/1")),
        "epoch": 3,
        "best": np.float64(0.25),
        "sizes": torch.Size([1, 2]),
    }
    torch.save(nested, FOLDER / "nested.ckpt")
    moments = optimizer.state_dict()["state"]
    EXPECTED["nested.ckpt"] = {
        **{f"model.{name}": array(tensor) for name, tensor in network.state_dict().items()},
        **{f"optimizer.state.{i}.{k}": array(v) for i, entry in moments.items() for k, v in entry.items()},
    }
    for protocol in (2, 3, 4, 5):
        torch.save([shared, {"b": shared + 1}], FOLDER / f"protocol_{protocol}.pth", pickle_protocol=protocol)
        EXPECTED[f"protocol_{protocol}.pth"] = {"0": array(shared), "1.b": array(shared + 1)}
    torch.save(shared, FOLDER / "bare.pt")
    EXPECTED["bare.pt"] = {"tensor": array(shared)}
    torch.save(network, FOLDER / "module.pt")
    torch.save(
        {
            "quantized": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
            "sparse": torch.sparse_coo_tensor([[0]], [1.0], (3,)),
            "meta": torch.zeros(3, device="meta"),
            "array": np.arange(3),
            "conjugate": torch.ones(2, dtype=torch.complex64).conj(),
            "plain": torch.ones(2),
        },
        FOLDER / "unread.pt",
    )
    EXPECTED["unread.pt"] = {"plain": np.ones(2, "float32")}
    torch.serialization.set_crc32_options(False)
    torch.save({"w": shared}, FOLDER / "no_checksums.pt")
    torch.serialization.set_crc32_options(True)
    EXPECTED["no_checksums.pt"] = {"w": array(shared)}
    torch.jit.script(torch.nn.Linear(2, 2)).save(FOLDER / "script.pt")


def save_sharded():
    parts = [{"fc1.weight": values(2, 3)}, {"fc2.weight": values(2, 2), "fc2.bias": values(2)}]
    weights = {name: f"model-0000{i + 1}-of-00002" for i, part in enumerate(parts) for name in part}
    for kind, suffix in (("safetensors", ".safetensors"), ("pytorch", ".bin")):
        folder = FOLDER / f"sharded_{kind}"
        folder.mkdir(exist_ok=True)
        for i, part in enumerate(parts):
            name = folder / f"model-0000{i + 1}-of-00002{suffix}"
            if kind == "pytorch":
                torch.save({key: torch.from_numpy(value) for key, value in part.items()}, name)
            else:
                safetensors.numpy.save_file(part, name)
        index = "pytorch_model.bin.index.json" if kind == "pytorch" else "model.safetensors.index.json"
        body = {"metadata": {"total_size": 48}, "weight_map": {key: name + suffix for key, name in weights.items()}}
        (folder / index).write_text(json.dumps(body, indent=2) + "\n")
        EXPECTED[folder.name] = parts[0] | parts[1]


def save_legacy():
    def save(name, saved, **options):
        torch.save(saved, FOLDER / name, _use_new_zipfile_serialization=False, **options)

    shared = torch.arange(6.0).reshape(2, 3)
    save("legacy.pt", {"w": shared})
    EXPECTED["legacy.pt"] = {"w": array(shared)}
    flat = torch.arange(12.0)
    state = {
        "transposed": flat[:6].reshape(2, 3).t(),
        "sliced": flat[2:9:2],
        "expanded": torch.tensor([7.0]).expand(3, 4),
        "parameter": torch.nn.Parameter(torch.arange(3.0)),
        "tied.a": shared,
        "tied.b": shared,
        "half": torch.arange(4.0).half(),
        "bf16": torch.arange(4.0).bfloat16(),
        "e4m3": torch.arange(4.0).to(torch.float8_e4m3fn),
        "u16": torch.arange(3).to(torch.uint16),
        "counts": torch.arange(3),
        "flags": torch.tensor([True, False]),
        "c64": torch.tensor([1 + 2j]),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "nothing": torch.zeros(0, 3),
    }
    quantized = torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)
    save("legacy_state.pt", {"model": state, "quantized": quantized})
    EXPECTED["legacy_state.pt"] = {f"model.{name}": array(tensor) for name, tensor in state.items()}
    for protocol in (3, 4, 5):
        save(f"legacy_{protocol}.pt", [shared, {"b": shared + 1}], pickle_protocol=protocol)
        EXPECTED[f"legacy_{protocol}.pt"] = {"0": array(shared), "1.b": array(shared + 1)}
    with unittest.mock.patch(
        "inspect.getsourcefile", return_value=pathlib.Path(__file__).name
    ):  # no path of ours in it
        save("legacy_module.pt", Module(Module()))
    names = ("_parameters.w", "_modules.inner._parameters.w")
    EXPECTED["legacy_module.pt"] = dict.fromkeys(names, array(shared))


def save_gguf():
    import gguf

    Kind = gguf.GGMLQuantizationType

    def writer(name, **options):
        made = gguf.GGUFWriter(FOLDER / name, "llama", **options)
        made.add_name("small")
        made.add_block_count(2)
        made.add_embedding_length(8)
        made.add_head_count([2, 2])
        made.add_head_count_kv(1)
        made.add_rope_freq_base(10000.0)
        return made

    def finish(made):
        made.write_header_to_file()
        made.write_kv_data_to_file()
        made.write_tensors_to_file()
        made.close()

    def pack(made, name, raw):
        made.add_tensor(f"{name}.weight", raw, raw_dtype=Kind[name])
        EXPECTED["quantised.gguf"][f"{name}.weight"] = gguf.quants.dequantize(raw, Kind[name])

    plain = {
        "token_embd.weight": values(3, 4),
        "blk.0.attn_q.weight": values(2, 3, 4, dtype="float16"),
        "blk.0.attn_norm.weight": values(5),
        "blk.0.ffn.weight": values(2, 2, 3, 2, dtype="float64"),
        **{f"ids.{size}": np.arange(-2, 4, dtype=f"int{size}").reshape(2, 3) for size in (8, 16, 32, 64)},
    }
    bf16 = values(3, 5, dtype=ml_dtypes.bfloat16)
    for name, endian in (("plain.gguf", gguf.GGUFEndian.LITTLE), ("big_endian.gguf", gguf.GGUFEndian.BIG)):
        made = writer(name, endianess=endian)
        made.add_token_list([str(i) for i in range(1030 if name == "plain.gguf" else 2)])
        made.add_token_scores([0.5 * i for i in range(1030 if name == "plain.gguf" else 2)])
        made.add_uint8("test.u8", 200)
        made.add_int8("test.i8", -5)
        made.add_uint16("test.u16", 60000)
        made.add_int16("test.i16", -30000)
        made.add_int32("test.i32", -(2**31))
        made.add_uint64("test.u64", 2**63)
        made.add_int64("test.i64", -(2**62))
        made.add_float32("test.f32", 0.5)
        made.add_float64("test.f64", 1e300)
        made.add_bool("test.bool", val=True)
        made.add_string("test.long", "x" * 2000)
        made.add_array("test.nested", [[1, 2], [3]])
        for key, value in plain.items():
            made.add_tensor(key, value.copy())  # the writer turns the bytes around where they are
        swapped = bf16.view("u2") if name == "plain.gguf" else bf16.view("u2").byteswap()
        made.add_tensor("output.weight", swapped.view("u1"), raw_dtype=Kind.BF16)
        if name == "big_endian.gguf":
            made.add_tensor("packed", gguf.quants.quantize(values(2, 32), Kind.Q8_0), raw_dtype=Kind.Q8_0)
        finish(made)
        EXPECTED[name] = plain | {"output.weight": bf16}

    random = np.random.default_rng(0)
    made = writer("quantised.gguf")
    made.add_custom_alignment(64)
    EXPECTED["quantised.gguf"] = {}
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4"):
        shape = (3, 256) if name.startswith("TQ") else (3, 32)
        pack(made, name, gguf.quants.quantize(random.standard_normal(shape, np.float32), Kind[name]))
    # The library has no quantiser for these: any bytes will do, with scales that are finite.
    scales = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,)}
    for name, places in (scales | {"IQ4_XS": (0,), "NVFP4": ()}).items():
        raw = random.integers(0, 256, (2, gguf.GGML_QUANT_SIZES[Kind[name]][1]), np.uint8)
        for at in places:
            raw[:, at + 1] &= 0x3F
        pack(made, name, raw)
    finish(made)

    made = writer("unread.gguf")
    for kind in ("Q8_K", "Q1_0"):
        made.add_tensor(kind, np.zeros((2, gguf.GGML_QUANT_SIZES[Kind[kind]][1]), np.uint8), raw_dtype=Kind[kind])
    made.add_tensor("plain", values(2, 3))
    finish(made)
    EXPECTED["unread.gguf"] = {"plain": values(2, 3)}


def onnx_types():
    """Each element type as a list of numbers and as raw bytes."""
    from onnx import TensorProto, helper, numpy_helper

    kinds = "FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 BOOL FLOAT16 DOUBLE UINT32 UINT64 COMPLEX64 COMPLEX128 BFLOAT16"
    kinds += " FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT8E8M0 FLOAT4E2M1 UINT4 INT4 UINT2 INT2"
    for kind in kinds.split():
        numbers = [1, 2, 4, 1, 2, 4, 4] if kind == "FLOAT8E8M0" else [1, 0, 1, 1, 0, 1, 0]
        if kind.startswith(("INT", "FLOAT16", "BFLOAT", "DOUBLE")):
            numbers[2:4] = [-1, -2]
        tensor = helper.make_tensor(f"{kind}.list", getattr(TensorProto, kind), [7], numbers)
        yield tensor
        yield numpy_helper.from_array(numpy_helper.to_array(tensor), f"{kind}.raw")


def onnx_graphs():
    """Weights in the bodies of nodes, in attributes and in functions, and those that are not read."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def info(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def tensor(name, start, *shape):
        return numpy_helper.from_array(values(*shape, start=start), name)

    def constant(name, start, *shape):
        return helper.make_node("Constant", [], [name], value=tensor("", start, *shape))

    def body(name, start):
        nodes = [constant("c", start, 2), helper.make_node("Gemm", ["x", "W", "c"], [f"{name}_y"], transB=1, alpha=0.5)]
        return helper.make_graph(nodes, name, [], [info(f"{name}_y", "n", 2)], [tensor("W", start, 2, 3)])

    sparse = onnx.SparseTensorProto(dims=[3])
    sparse.values.CopyFrom(tensor("sparse", 1, 1))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, "int64"), ""))
    inner = helper.make_node("If", ["flag"], ["z"], then_branch=body("then", 10), else_branch=body("else", 20))
    loop = helper.make_graph([inner], "body", [], [info("z", "n", 2)], [tensor("W", 30, 3, 3)])
    nodes = [
        constant("k", 40, 2, 2),
        helper.make_node("Loop", ["", "flag"], ["y"], name="loop", body=loop),
        helper.make_node("ConstantOfShape", ["y"], ["q"], value=tensor("", 50, 1)),
        helper.make_node("Odd", ["q"], ["r"], domain="test", name="odd", tables=[tensor("", 60, 2), tensor("", 70, 3)],
                         axes=[1, -2], mode="linear", words=["a", "b"], scales=[0.5, 1.5], blob=b"\xff\xfe"),
        helper.make_node("Scale", ["x"], ["s"], domain="test"),
    ]  # fmt: skip
    texts = helper.make_tensor("texts", TensorProto.STRING, [1], ["a"])
    undefined = onnx.TensorProto(name="undefined", dims=[1], raw_data=b"x")
    graph = helper.make_graph(
        nodes, "main", [info("x", "n", 3)], [info("s", "n", None)], [tensor("W", 0, 2, 3), texts, undefined],
        sparse_initializer=[sparse],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("test", 1)]
    scale = helper.make_function(
        "test", "Scale", ["x"], ["s"],
        [constant("k", 80, 1), helper.make_node("Mul", ["x", "k"], ["s"])], opsets[:1], ["rate"],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=opsets, functions=[scale], producer_name="test", ir_version=10)
    helper.set_model_props(model, {"author": "nobody"})
    start = helper.make_graph([], "start", [], [], [tensor("W", 90, 2, 2)])
    model.training_info.add().initialization.CopyFrom(start)
    return model


def save_onnx():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    types = list(onnx_types())
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [7])
    graph = helper.make_graph([helper.make_node("Identity", ["FLOAT.raw"], ["y"])], "types", [], [output], types)
    onnx.save(helper.make_model(graph), FOLDER / "types.onnx")
    EXPECTED["types.onnx"] = {tensor.name: numpy_helper.to_array(tensor) for tensor in types}
    onnx.save(onnx_graphs(), FOLDER / "graphs.onnx")
    EXPECTED["graphs.onnx"] = {
        "W": values(2, 3),
        "k": values(2, 2, start=40),
        "loop/body/W": values(3, 3, start=30),
        "loop/body/If_0/then_branch/W": values(2, 3, start=10),
        "loop/body/If_0/then_branch/c": values(2, start=10),
        "loop/body/If_0/else_branch/W": values(2, 3, start=20),
        "loop/body/If_0/else_branch/c": values(2, start=20),
        "ConstantOfShape_2/value": values(1, start=50),
        "odd/tables/0": values(2, start=60),
        "odd/tables/1": values(3, start=70),
        "test/Scale/k": values(1, start=80),
        "training/0/initialization/W": values(2, 2, start=90),
    }
    folder = FOLDER / "external_onnx"
    (folder / "more").mkdir(parents=True, exist_ok=True)
    weights = {"a": values(2, 3), "b": values(4, dtype=ml_dtypes.bfloat16), "c": np.arange(3, dtype=ml_dtypes.uint4)}
    graph.ClearField("initializer")
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    model = helper.make_model(graph)
    (folder / "weights.bin").unlink(missing_ok=True)
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "more" / "d").write_bytes(bytes(8) + values(2, 2).tobytes())
    last = model.graph.initializer.add(name="d", dims=[2, 2], data_type=TensorProto.FLOAT, raw_data=b"x")
    onnx.external_data_helper.set_external_data(last, "more/d", offset=8, length=16)
    last.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    EXPECTED["external_onnx/model.onnx"] = weights | {"d": values(2, 2)}


def save_torch_onnx():
    import onnx

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 3), torch.nn.LSTM(3, 2)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer exporter needs another package, and writes the paths of our code
        torch.onnx.export(network.eval(), (torch.ones(1, 1, 4, 4),), FOLDER / "torch.onnx", dynamo=False)
    model = onnx.load(FOLDER / "torch.onnx")
    state = {name: array(tensor) for name, tensor in network.state_dict().items()}
    EXPECTED["torch.onnx"] = {
        tensor.name: state.get(tensor.name, onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer
    } | {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in model.graph.node
        if node.op_type == "Constant"
    }


def torch_models():
    """Small networks of PyTorch with what real ones are made of, and what goes in."""
    from torch import nn
    from torch.nn import functional as f

    class Convolutions(nn.Module):  # a stem, a residual block with depthwise layers, attention over units, groups
        def __init__(self):
            super().__init__()
            self.stem, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.up, self.deep, self.down = (
                nn.Conv2d(8, 12, 1),
                nn.Conv2d(12, 12, 3, 1, 1, groups=12),
                nn.Conv2d(12, 8, 1),
            )
            self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
            self.wide, self.groups = nn.Conv2d(8, 12, 1), nn.Conv2d(12, 6, 3, groups=3)
            self.norm, self.open = nn.GroupNorm(3, 6), nn.ConvTranspose2d(6, 5, 2)
            self.more, self.head = nn.Conv2d(5, 4, 3, padding=1), nn.Linear(9 * 16, 2)

        def forward(self, x):
            x = f.relu(self.bn(self.stem(x)))
            x = x + self.down(f.hardswish(self.deep(f.relu6(self.up(x)))))
            x = x * torch.sigmoid(self.excite(f.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
            x = f.relu(self.open(self.norm(self.groups(f.silu(self.wide(x))))))
            x = f.max_pool2d(torch.cat([x, f.leaky_relu(self.more(x))], 1), 1)
            return self.head(x[:, :, :4, :4].flatten(1))

    class Pictures(nn.Module):  # patches, a token of the class, positions, fused attention
        def __init__(self):
            super().__init__()
            self.patch = nn.Conv2d(3, 12, 4, 4)
            self.token, self.positions = nn.Parameter(torch.randn(1, 1, 12)), nn.Parameter(torch.randn(1, 5, 12))
            self.norm1, self.qkv, self.proj = nn.LayerNorm(12), nn.Linear(12, 36), nn.Linear(12, 12)
            self.norm2, self.fc1, self.fc2 = nn.LayerNorm(12), nn.Linear(12, 10), nn.Linear(10, 12)
            self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 3)

        def forward(self, x):
            x = self.patch(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
            batch, length, width = x.shape
            query, key, value = self.qkv(self.norm1(x)).reshape(batch, length, 3, 3, 4).permute(2, 0, 3, 1, 4)
            seen = (query @ key.transpose(-1, -2) / 2).softmax(-1) @ value
            x = x + self.proj(seen.transpose(1, 2).reshape(batch, length, width))
            x = x + self.fc2(f.gelu(self.fc1(self.norm2(x))))
            return self.head(self.norm(x)[:, 0])

    class Words(nn.Module):  # an embedding, torch's own block, a gated layer
        def __init__(self):
            super().__init__()
            self.table, self.block = nn.Embedding(7, 12), nn.TransformerEncoderLayer(12, 3, 10, batch_first=True)
            self.gated, self.down, self.head = nn.Linear(12, 16), nn.Linear(8, 12), nn.Linear(12, 7, bias=False)

        def forward(self, x):
            x = self.block(self.table(x))
            up, gate = self.gated(x).chunk(2, -1)
            return self.head(x + self.down(f.silu(gate) * up))

    class Steps(nn.Module):  # both directions of an LSTM, and a GRU
        def __init__(self):
            super().__init__()
            self.table, self.lstm = nn.Embedding(7, 4), nn.LSTM(4, 5, bidirectional=True)
            self.gru, self.head = nn.GRU(10, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.gru(self.lstm(self.table(x))[0])[0])

    numbers = torch.arange(8).reshape(4, 2) % 7
    return {
        "convolutions": (Convolutions(), torch.ones(2, 3, 6, 6)),
        "pictures": (Pictures(), torch.ones(2, 3, 8, 8)),
        "words": (Words(), numbers),
        "steps": (Steps(), numbers),
    }


def save_onnx_graphs():
    """Networks whose graph says how they are wired: of both exporters, with a batch of any size and with none."""
    folder = FOLDER.parent / "graphs"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    for name, (network, x) in torch_models().items():
        free = (
            {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}} if name in ("pictures", "convolutions") else {}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network.eval(), (x,), folder / f"{name}.onnx", dynamo=False, **free)
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
    torch.onnx.export(
        network, (torch.ones(2, 3),), folder / "dense.onnx", dynamo=True, external_data=False, verbose=False
    )
    strip_notes(folder / "dense.onnx")


def strip_notes(path):
    """Leave out what the newer exporter notes of the code, with its paths."""
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for each in (
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
        model.graph,
    ):
        del each.metadata_props[:]
    onnx.save(model, path)


def save_flax():
    import flax.linen
    import jax
    import jax.numpy as jnp
    import msgpack
    import optax
    from flax import serialization
    from flax.training.train_state import TrainState

    network = flax.linen.Sequential([flax.linen.Dense(4), flax.linen.Dense(2)])
    params = network.init(jax.random.key(0), jnp.ones((1, 3)))
    state = TrainState.create(apply_fn=network.apply, params=params, tx=optax.adamw(1e-3))
    state = state.apply_gradients(grads=jax.tree.map(jnp.ones_like, params))
    (FOLDER / "train_state.msgpack").write_bytes(serialization.to_bytes(state))

    def flat(tree, path=""):
        for name, item in tree.items():
            if isinstance(item, dict):
                yield from flat(item, f"{path}{name}/")
            elif hasattr(item, "dtype"):
                yield path + name, np.asarray(item)

    EXPECTED["train_state.msgpack"] = dict(flat(serialization.to_state_dict(state)))
    kinds = (
        "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64 complex64 complex128 bfloat16"
    )
    kinds += " float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz"
    kinds += " float8_e8m0fnu float4_e2m1fn int4 uint4 int2 uint2"
    arrays = {kind: np.ones((2, 3), getattr(ml_dtypes, kind, kind)) for kind in kinds.split()}
    arrays |= {"scalar": np.float32(2.5), "axisless": np.array(2.5), "nothing": np.zeros((0, 3), "float32")}
    others = {"step": 3, "rate": 0.5, "note": "x", "none": None, "pole": 1 + 2j, "raw": b"x", "empty": {}, "yes": True}
    unread = {"words": np.array(["a", "bc"]), "days": np.array(["2020-01-01"], "M8[D]")}
    (FOLDER / "leaves.msgpack").write_bytes(serialization.to_bytes(arrays | others | unread | {"list": [np.ones(2)]}))
    EXPECTED["leaves.msgpack"] = arrays | {"list/0": np.ones(2)}
    large = {"a": {"w": values(5, 4)}, "b": values(3, dtype=ml_dtypes.bfloat16)}
    with unittest.mock.patch.object(serialization, "MAX_CHUNK_SIZE", 32):
        (FOLDER / "chunks.msgpack").write_bytes(serialization.to_bytes(large))
    EXPECTED["chunks.msgpack"] = {"a/w": values(5, 4), "b": values(3, dtype=ml_dtypes.bfloat16)}
    plain = msgpack.ExtType(1, msgpack.packb(((4,), "float32", values(4).tobytes())))
    own = {"time": msgpack.Timestamp(1), "pair": [1, {"deep": msgpack.ExtType(9, b"x")}], "w": plain}
    (FOLDER / "others.msgpack").write_bytes(msgpack.packb(own))
    EXPECTED["others.msgpack"] = {"w": values(4)}
    (FOLDER / "bare.msgpack").write_bytes(serialization.to_bytes(values(2, 3)))
    EXPECTED["bare.msgpack"] = {"array": values(2, 3)}
    folder = FOLDER / "sharded_flax"
    folder.mkdir(exist_ok=True)
    parts = [{"h/0/kernel": values(2, 3), "h/0/bias": values(3)}, {"head/kernel": values(3, 2)}]
    weights = {}
    for i, part in enumerate(parts):
        name = f"flax_model-0000{i + 1}-of-00002.msgpack"
        (folder / name).write_bytes(serialization.to_bytes(flax.traverse_util.unflatten_dict(part, sep="/")))
        weights |= dict.fromkeys(part, name)
    body = {"metadata": {"total_size": 60}, "weight_map": weights}
    (folder / "flax_model.msgpack.index.json").write_text(json.dumps(body, indent=2) + "\n")
    EXPECTED["sharded_flax"] = parts[0] | parts[1]


def save_hdf5():
    import h5py

    def float_type(bits, sign, exponent, exponent_bits, fraction_bits, bias):
        made = h5py.h5t.IEEE_F32LE.copy()
        made.set_fields(sign, exponent, exponent_bits, 0, fraction_bits)
        made.set_size(bits // 8)
        made.set_precision(bits)
        made.set_ebias(bias)
        return made

    def write_raw(file, name, kind, raw, shape):
        """Write bytes as elements of a type that h5py does not make itself."""
        made = h5py.h5d.create(file.id, name, kind, h5py.h5s.create_simple(shape))
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.frombuffer(raw, np.uint8), mtype=kind)

    half = values(3, 2, dtype=ml_dtypes.bfloat16)
    e4m3, e5m2 = values(4, dtype=ml_dtypes.float8_e4m3fn), values(4, dtype=ml_dtypes.float8_e5m2)
    bfloat16 = float_type(16, 15, 7, 8, 7, 127)
    swapped = bfloat16.copy()
    swapped.set_order(h5py.h5t.ORDER_BE)
    types = {
        "fc1/weight": values(3, 4),
        "fc1/bias": values(3, dtype="float16"),
        "big": values(2, 3, dtype=">f8"),
        "flags": np.array([True, False]),
        "phases": values(2, dtype="complex64") * 1j,
        "counts": np.arange(-2, 2, dtype=">i2"),
        "bytes": np.arange(4, dtype="uint8"),
        "scalar": np.float64(2.5),
        "empty": values(0, 3),
        "\u00e4\u5c42": values(2),
    }
    with h5py.File(FOLDER / "types.h5", "w") as file:
        file.attrs["author"] = "nobody"
        for name, value in types.items():
            file[name] = value
        file["nothing"] = h5py.Empty("f4")
        file.create_dataset("pairs", shape=(3,), dtype=np.dtype(("f4", (2,))))[...] = values(3, 2)
        write_raw(file, b"half", bfloat16, half.tobytes(), half.shape)
        write_raw(file, b"swapped", swapped, half.view("u2").byteswap().tobytes(), half.shape)
        write_raw(file, b"e4m3", float_type(8, 7, 3, 4, 3, 7), e4m3.tobytes(), e4m3.shape)
        write_raw(file, b"e5m2", float_type(8, 7, 2, 5, 2, 15), e5m2.tobytes(), e5m2.shape)
    EXPECTED["types.h5"] = types | {
        "nothing": values(0), "pairs": values(3, 2), "half": half, "swapped": half, "e4m3": e4m3, "e5m2": e5m2
    }  # fmt: skip

    big = values(40, 30)
    with h5py.File(FOLDER / "storage.h5", "w", libver="latest", userblock_size=1024) as file:
        file.create_dataset("plain", data=values(2, 3))
        file.create_dataset("deflated", data=big, chunks=(7, 11), compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("lzf", data=big, chunks=(40, 1), compression="lzf")
        file.create_dataset("scaled", data=np.arange(60).reshape(3, 20), chunks=(3, 20), scaleoffset=0)
        file.create_dataset("grown", data=big[:5], chunks=(4, 30), maxshape=(None, 30))
        file.create_dataset("filled", shape=(3, 4), dtype="f4", fillvalue=0.5)
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), compact)
        file["compact"][...] = values(4)
        file["group/inner/w"] = values(2, 2)
        file["group/again"] = file["group/inner/w"]
        file["group/loop"] = file["group"]
        file["soft"] = h5py.SoftLink("group/./inner/w")
        file["group/up"] = h5py.SoftLink("/soft")
    EXPECTED["storage.h5"] = {
        "plain": values(2, 3), "deflated": big, "lzf": big, "scaled": np.arange(60).reshape(3, 20), "grown": big[:5],
        "filled": np.full((3, 4), 0.5, "f4"), "compact": values(4), "group/again": values(2, 2),
        "group/inner/w": values(2, 2), "soft": values(2, 2), "group/up": values(2, 2),
    }  # fmt: skip

    with h5py.File(FOLDER / "unread.h5", "w") as file:
        file["fine"] = values(2, 2)
        file["text"] = "hello"
        file["words"] = np.array([b"ab", b"cd"])
        file["record"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
        file.create_dataset("lists", shape=(2,), dtype=h5py.vlen_dtype("f4"))
        file["reference"] = file["fine"].ref
        file.create_dataset("colours", data=[0, 1], dtype=h5py.enum_dtype({"RED": 0, "GREEN": 1}, "i1"))
        file.create_dataset("opaque", data=np.zeros(2, "V3"))
        file["long"] = np.zeros(2, np.longdouble)
        odd = h5py.h5t.STD_I32LE.copy()
        odd.set_precision(17)
        write_raw(file, b"odd", odd, bytes(8), (2,))
        file["elsewhere"] = h5py.ExternalLink("types.h5", "/fc1/weight")
        file["by way of"] = h5py.SoftLink("/elsewhere")
        file["dangling"] = h5py.SoftLink("/nowhere/w")
        file["through a dataset"] = h5py.SoftLink("/fine/w")
        file["circle"] = h5py.SoftLink("/circle")
        file.create_dataset("outside", shape=(2,), dtype="f4", external=[("types.h5", 0, 8)])
        layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
        layout[:] = h5py.VirtualSource("types.h5", "e", shape=(2,))
        file.create_virtual_dataset("virtual", layout)
    EXPECTED["unread.h5"] = {"fine": values(2, 2)}


def save_mat73():
    """MATLAB 7.3 as hdf5storage writes it; this part needs nothing else."""
    import hdf5storage

    cell = np.empty((2, 2), object)
    cell[0, 0], cell[0, 1], cell[1, 0] = values(2, 2), values(3, 1), values(0, 3)
    cell[1, 1] = np.empty((1, 2), object)
    cell[1, 1][0, :] = [values(3, 3), {"w": values(1, 2)}]
    layers = np.zeros((1, 2), [("w", object)])
    layers["w"][0, :] = [values(2, 3), values(3, 2)]
    plain = {
        "weight": values(3, 4),
        "phases": values(2, 2, dtype="complex128") * 1j + 1,
        "none": values(0, 2, dtype="float64"),
        "flags": np.array([[True, False]]),
        "cube": values(2, 3, 4, dtype="int16"),
    }
    deep = {"net": {"fc1": {"weight": values(4, 2)}}, "cell": cell, "layers": layers, "label": "hello"}
    path = FOLDER / "version_73.mat"
    path.unlink(missing_ok=True)  # what is there would be added to
    hdf5storage.savemat(str(path), plain | deep, format="7.3", store_python_metadata=False)
    EXPECTED["version_73.mat"] = plain | {
        "net.fc1.weight": values(4, 2),
        "cell.0": values(2, 2), "cell.1": values(0, 3), "cell.2": values(3, 1),
        "cell.3.0": values(3, 3), "cell.3.1.w": values(1, 2),
        "layers.0.w": values(2, 3), "layers.1.w": values(3, 2),
    }  # fmt: skip


def save_keras():
    """The files of the version of Keras that is installed, which is part of their names."""
    import h5py
    import keras
    from keras import layers

    version = "_".join(keras.__version__.split(".")[:2])
    keras.utils.set_random_seed(0)

    def fill(model):
        for i, variable in enumerate(model.variables):
            variable.assign(values(*variable.shape, start=i))
        return {variable.path: np.asarray(variable) for variable in model.weights}

    def below(name, weights):
        """Leave out the name of the whole model, which Keras puts before the layers of a sequential one."""
        return {key.removeprefix(f"{name}/"): value for key, value in weights.items()}

    def compiled(model):
        model.compile(keras.optimizers.SGD(0.5, momentum=0.5), "mse")
        model.optimizer.build(model.trainable_variables)
        return model.optimizer.variables

    encoder = keras.Sequential([layers.Input((3,)), layers.Dense(2, name="first")], name="encoder")
    nested = keras.Sequential([encoder, layers.Dense(1, use_bias=False, name="head")], name="nested")
    name = f"keras_{version}.keras"
    EXPECTED[name] = below("nested", fill(nested))
    EXPECTED[name] |= {f"optimizer/vars/{i}": np.asarray(variable) for i, variable in enumerate(compiled(nested))}
    nested.save(FOLDER / name)

    x = inputs = layers.Input((4, 3), name="tokens")
    x = layers.Bidirectional(layers.LSTM(1), name="both")(x)
    x = layers.BatchNormalization(center=False)(x)
    x = layers.Dense(3, use_bias=False)(x + x)
    x = layers.Reshape((1, 3))(layers.Dense(3, name="named")(x))
    model = keras.Model(inputs, layers.MultiHeadAttention(1, 2)(x, x))
    name = f"keras_{version}_packed.keras"
    EXPECTED[name] = fill(model)
    model.save(FOLDER / name)
    with zipfile.ZipFile(FOLDER / name) as stored:
        members = {each: stored.read(each) for each in stored.namelist()}
    with zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_DEFLATED) as packed:
        for each, data in members.items():
            packed.writestr(each, data)

    bare = keras.Sequential(
        [layers.Input((3,)), layers.Dense(4, name="wide"), layers.Dense(2, use_bias=False)], name="bare"
    )
    weights = fill(bare)
    bare.save_weights(FOLDER / f"keras_{version}.weights.h5")
    with h5py.File(FOLDER / f"keras_{version}.weights.h5") as file:
        named = "name" in file["layers/dense/vars"].attrs  # else there are only automatic names
    automatic = dict(zip(["dense/kernel", "dense/bias", "dense_1/kernel"], weights.values(), strict=True))
    EXPECTED[f"keras_{version}.weights.h5"] = below("bare", weights) if named else automatic
    state = {f"optimizer_weights/{variable.path}": np.asarray(variable) for variable in compiled(bare)}
    bare.save(FOLDER / f"keras_{version}.h5")
    EXPECTED[f"keras_{version}.h5"] = weights | state


def keras_models():
    """Small networks of Keras with what real ones are made of."""
    import keras
    from keras import layers

    x = inputs = layers.Input((6, 6, 3), name="picture")
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(x))
    x = x + layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2, name="separable")(x)
    gate = layers.Dense(4, activation="relu", name="squeeze")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Dense(8, activation="sigmoid", name="excite")(gate)])
    x = layers.Concatenate()([x, layers.Conv2D(6, 1, name="side")(x)])
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="deep")(x)
    x = layers.Conv2D(12, 1, activation="silu", name="wide")(x)
    x = layers.GroupNormalization(3)(layers.Conv2D(6, 3, groups=3, name="groups")(x))
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2DTranspose(5, 2, strides=2, padding="same", name="open")(x))
    x = layers.Dense(2, name="classes")(layers.Flatten()(layers.AveragePooling2D(2)(x)))
    yield "convolutions", keras.Model(inputs, x)

    x = inputs = layers.Input((3,), dtype="int32", name="numbers")
    x = layers.Embedding(7, 12, name="table")(x)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(3, 4, value_dim=2, name="attention")(x, x))
    hidden = layers.EinsumDense("btd,dh->bth", (None, 10), bias_axes="h", activation="gelu", name="up")(x)
    x = layers.Add()([x, layers.TimeDistributed(layers.Dense(12, name="inner"), name="down")(hidden)])
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both")(x)
    x = layers.SimpleRNN(4, return_sequences=True, name="plain")(layers.GRU(6, return_sequences=True, name="gated")(x))
    yield "steps", keras.Model(inputs, layers.Dense(3, name="classes")(layers.Dropout(0.1)(x)))

    inner = keras.Sequential([layers.Input((8,)), layers.Dense(8, "tanh", name="first")], name="inner")
    outer = [layers.Input((3,)), layers.Dense(8, "relu", name="wide"), inner, layers.Dense(2, name="classes")]
    yield "row", keras.Sequential(outer, name="row")

    first = {"data_format": "channels_first"}
    x = inputs = layers.Input((3, 6, 8), name="picture")
    x = layers.BatchNormalization(axis=1)(layers.Conv2D(8, 3, padding="same", name="stem", **first)(x))
    x = layers.Concatenate(axis=1)([x, layers.Conv2D(6, 1, activation="relu", name="side", **first)(x)])
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="deep", **first)(x)
    x = layers.PReLU(shared_axes=[2, 3])(layers.SeparableConv2D(9, 1, name="separable", **first)(x))
    x = layers.GroupNormalization(2, axis=1)(
        layers.Conv2D(4, 1, name="groups", **first)(layers.MaxPooling2D((1, 2), **first)(x))
    )
    x = layers.Conv2DTranspose(5, 2, strides=2, name="open", **first)(layers.ZeroPadding2D(1, **first)(x))
    flat = layers.Flatten(**first)(layers.UpSampling2D(2, **first)(layers.AveragePooling2D(2, **first)(x)))
    x = layers.Concatenate()([flat, layers.GlobalAveragePooling2D(**first)(x)])
    yield "first", keras.Model(inputs, layers.Dense(2, name="classes")(x))


def save_keras_graphs():
    """Networks whose configuration says how they are wired."""
    import keras

    folder = FOLDER.parent / "graphs"
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(0)
    for name, model in keras_models():
        path = folder / f"{name}.keras"
        model.save(path)
        with zipfile.ZipFile(path) as stored:
            members = {each: stored.read(each) for each in stored.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for each, data in members.items():
                packed.writestr(each, data)


def save_mat():
    """Version 4, version 5 as it is, and version 5 with zlib; SciPy alone writes none of the other byte order."""
    import scipy.io
    import scipy.sparse

    plain = {
        "weight": values(3, 4),
        "bias": values(1, 3, dtype="float64"),
        "small": np.arange(6, dtype="int16").reshape(2, 3),
        "phases": values(2, 2, dtype="complex128") * 1j + 1,
        "none": values(0, 2),
    }
    others = {"label": "hello", "links": scipy.sparse.eye_array(3).tocsc()}
    scipy.io.savemat(FOLDER / "version_4.mat", plain | others, format="4")
    EXPECTED["version_4.mat"] = plain
    cell = np.empty(2, object)
    cell[:] = [values(2, 2), "text"]
    layers = np.zeros(2, [("w", object), ("b", object)])
    layers["w"], layers["b"] = [values(2, 3), values(3, 2)], [values(1, 2), values(1, 3)]
    deep = {
        "flags": np.array([[True, False]]),
        "cube": values(2, 3, 4),
        "net": {"fc1": {"weight": values(4, 2)}, "rate": 0.5},
        "cell": cell,
        "layers": layers,
    }
    for name, packed in (("version_5", False), ("version_7", True)):
        scipy.io.savemat(FOLDER / f"{name}.mat", plain | deep | others, do_compression=packed)
        EXPECTED[f"{name}.mat"] = plain | {
            "flags": deep["flags"],
            "cube": deep["cube"],
            "net.fc1.weight": values(4, 2),
            "net.rate": np.full((1, 1), 0.5),
            "cell.0": values(2, 2),
            "layers.0.w": values(2, 3),
            "layers.0.b": values(1, 2),
            "layers.1.w": values(3, 2),
            "layers.1.b": values(1, 3),
        }


def save_expected():
    """One line a tensor: the bytes in C order, little-endian, as hexadecimal; the lines of other files stay."""
    path = FOLDER.parent / "expected.jsonl"
    lines = [line for line in path.read_text().splitlines() if json.loads(line)[0] not in EXPECTED]
    for file, arrays in EXPECTED.items():
        for name, value in arrays.items():
            value = np.asarray(value)
            little = value if value.dtype.isbuiltin == 2 else value.astype(value.dtype.newbyteorder("<"))
            lines.append(json.dumps([file, name, value.dtype.name, list(value.shape), little.tobytes().hex()]))
    path.write_text("\n".join(lines) + "\n")


PARTS = {
    "npy": save_npy,
    "npz": save_npz,
    "safetensors": save_safetensors,
    "torch": save_torch,
    "legacy": save_legacy,
    "sharded": save_sharded,
    "gguf": save_gguf,
    "onnx": save_onnx,
    "torch_onnx": save_torch_onnx,
    "onnx_graphs": save_onnx_graphs,
    "flax": save_flax,
    "hdf5": save_hdf5,
    "mat73": save_mat73,
    "keras": save_keras,
    "keras_graphs": save_keras_graphs,
    "mat": save_mat,
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
    save_expected()
