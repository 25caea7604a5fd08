"""Run by test_sharded.py in a process of its own: four processes on loopback, each with its shards of a model.

Each case is a function of (rank, mesh of four, mesh of two by two), which returns complaints. What comes back is JSON:
the complaints of each rank by case.
"""

import json
import multiprocessing
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import symbreak as sb

RANKS = 4
RULES = {"special.weight": sb.Orthogonal(), "up.weight": sb.GlorotUniform()}


class Model(nn.Module):
    """Layers of every layout, with sizes that four does not divide."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        options = {"dtype": dtype}
        self.embed = nn.Embedding(11, 6, padding_idx=2, **options)
        self.fc = nn.Linear(6, 10, **options)
        self.special = nn.Linear(10, 7, **options)
        self.conv = nn.Conv2d(4, 6, 3, groups=2, **options)
        self.up = nn.ConvTranspose2d(9, 5, 2, **options)
        self.grouped_up = nn.ConvTranspose1d(8, 6, 2, groups=2, **options)
        self.attention = nn.MultiheadAttention(6, 2, **options)
        self.norm = nn.LayerNorm(6, **options)
        self.head = nn.Linear(6, 11, bias=False, **options)
        self.head.weight = self.embed.weight


def expected(dtype=torch.float32):
    """Give the weights of the model that is not sharded."""
    model = Model(dtype)
    sb.torch.initialize(model, RULES, rng=4)
    return dict(model.named_parameters())


def differ(model, whole):
    """Say which parameters, put together again, are not those of the whole model."""
    found = []
    for name, parameter in model.named_parameters():
        full = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
        if not torch.equal(full, whole[name]):
            found.append(f"{name} differs")
    return found


def place(model, mesh, placements):
    """Make every parameter a DTensor, holding NaN, sharded along a dim where it has one."""
    memo = {}
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is None:
                continue
            if id(parameter) not in memo:
                dims = [
                    each if not isinstance(each, Shard) or each.dim < parameter.dim() else Replicate()
                    for each in placements
                ]
                tensor = distribute_tensor(torch.full_like(parameter, float("nan")), mesh, dims)
                memo[id(parameter)] = nn.Parameter(tensor)
            setattr(module, name, memo[id(parameter)])
    return model


def case_shard_0(rank, line, square):
    model = place(Model(), line, [Shard(0)])
    sb.torch.initialize(model, RULES, rng=4)
    return differ(model, expected())


def case_shard_1(rank, line, square):
    model = place(Model(), line, [Shard(1)])
    sb.torch.initialize(model, RULES, rng=4)
    return differ(model, expected())


def case_shard_2(rank, line, square):
    model = place(Model(), line, [Shard(2)])
    sb.torch.initialize(model, RULES, rng=4)
    return differ(model, expected())


def case_replicate(rank, line, square):
    model = place(Model(), line, [Replicate()])
    sb.torch.initialize(model, RULES, rng=4)
    return differ(model, expected())


def case_two_dims(rank, line, square):
    model = place(Model(), square, [Shard(0), Shard(1)])
    sb.torch.initialize(model, RULES, rng=4)
    return differ(model, expected())


def case_one_dim_twice(rank, line, square):
    model = place(Model(), square, [Shard(0), Shard(0)])
    sb.torch.initialize(model, RULES, rng=4)
    return differ(model, expected())


def case_bfloat16(rank, line, square):
    model = place(Model(torch.bfloat16), line, [Shard(0)])
    sb.torch.initialize(model, RULES, rng=4)
    return differ(model, expected(torch.bfloat16))


def case_fsdp2(rank, line, square):
    model = Model()
    fully_shard(model, mesh=line)
    sb.torch.initialize(model, RULES, rng=4)
    local = sum(parameter.to_local().numel() for parameter in model.parameters())
    whole = sum(parameter.numel() for parameter in model.parameters())
    found = differ(model, expected())
    return found if local < whole / 2 else [*found, f"rank {rank} holds {local} of {whole} values"]


def case_fsdp2_from_meta(rank, line, square):
    with torch.device("meta"):
        model = Model()
    fully_shard(model, mesh=line)
    sb.torch.initialize(model, RULES, rng=4, device="cpu")
    found = differ(model, expected())
    tied = model.head.weight is model.embed.weight
    return found if tied else [*found, "the tie is gone"]


def case_fsdp2_over_tensor_parallel(rank, line, square):
    model = nn.Sequential(nn.Linear(5, 16), nn.Linear(16, 9))
    whole = nn.Sequential(nn.Linear(5, 16), nn.Linear(16, 9))
    sb.torch.initialize(whole, rng=4)
    for layer, dims in zip(model, (0, 1), strict=True):
        layer.weight = nn.Parameter(distribute_tensor(layer.weight.detach(), square["tp"], [Shard(dims)]))
        layer.bias = nn.Parameter(distribute_tensor(layer.bias.detach(), square["tp"], [Replicate()]))
    fully_shard(model, mesh=square["dp"])
    strided = [type(each).__name__ for each in model[0].weight.placements]
    sb.torch.initialize(model, rng=4)
    found = differ(model, dict(whole.named_parameters()))
    return found if "_StridedShard" in strided else [*found, f"placed as {strided}"]


def case_training_goes_on(rank, line, square):
    """The weights that a step starts from are those that were written."""
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    plain = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    fully_shard(model, mesh=line)
    sb.torch.initialize(model, rng=1)
    sb.torch.initialize(plain, rng=1)
    x = torch.linspace(-1, 1, 18).reshape(3, 6)
    same = torch.equal(model(x), plain(x))
    return [] if same else ["the outputs differ"]


def case_init_functions(rank, line, square):
    found = []
    for name, rest in (
        ("kaiming_normal_", ()),
        ("orthogonal_", ()),
        ("eye_", ()),
        ("uniform_", ()),
        ("sparse_", (0.5,)),
    ):
        sharded = distribute_tensor(torch.full((10, 7), float("nan")), line, [Shard(1)])
        function = getattr(sb.torch.init, name)
        torch.manual_seed(9)
        function(sharded, *rest)
        torch.manual_seed(9)
        if not torch.equal(sharded.full_tensor(), function(torch.empty(10, 7), *rest)):
            found.append(f"{name} differs")
    dirac = distribute_tensor(torch.full((6, 4, 3), float("nan")), line, [Shard(0)])
    sb.torch.init.dirac_(dirac, 2)
    return (
        found if torch.equal(dirac.full_tensor(), sb.torch.init.dirac_(torch.empty(6, 4, 3), 2)) else [*found, "dirac_"]
    )


def case_partial_is_refused(rank, line, square):
    model = nn.Linear(3, 4)
    model.weight = nn.Parameter(DTensor.from_local(torch.ones(4, 3), line, [Partial()], run_check=False))
    try:
        sb.torch.initialize(model)
    except ValueError as error:
        return [] if "'weight': a DTensor placed as Partial(sum) on dim 0" in str(error) else [str(error)]
    return ["it was not refused"]


CASES = {name.removeprefix("case_"): value for name, value in dict(globals()).items() if name.startswith("case_")}


def work(rank, store, results):
    """Run every case as one rank."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    line = init_device_mesh("cpu", (RANKS,))
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    found = {}
    for name, case in CASES.items():
        try:
            found[name] = case(rank, line, square)
        except Exception as error:  # it is told, and the other cases go on
            found[name] = [f"{type(error).__name__}: {error}"]
        dist.barrier()
    Path(results, f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def main():
    """Start the ranks, and write what they found."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        ranks = [context.Process(target=work, args=(rank, f"{folder}/store", folder)) for rank in range(RANKS)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        json.dump([json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(RANKS)], sys.stdout)


if __name__ == "__main__":
    main()
