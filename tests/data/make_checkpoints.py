"""Write the small files of `tests/data/checkpoints` with the formats' own libraries: the readers' oracles.

Run it where torch, safetensors and ml_dtypes are installed. The tests read what
it wrote, so that they need none of them. `expected.jsonl` holds what each file should give, bit for bit.
"""

import argparse
import json
import pathlib

import ml_dtypes
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

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
    torch.save({"w": shared}, FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
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


def save_expected():
    """One line a tensor: the bytes in C order, little-endian, as hexadecimal."""
    lines = []
    for file, arrays in EXPECTED.items():
        for name, value in arrays.items():
            value = np.asarray(value)
            little = value if value.dtype.isbuiltin == 2 else value.astype(value.dtype.newbyteorder("<"))
            lines.append(json.dumps([file, name, value.dtype.name, list(value.shape), little.tobytes().hex()]))
    (FOLDER.parent / "expected.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    save_npy()
    save_npz()
    save_safetensors()
    save_torch()
    save_sharded()
    save_expected()
