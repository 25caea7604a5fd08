"""What torch pruned, `weight_orig` and `weight_mask`, is one weight with a mask, in diagnosis and repair."""

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import open_checkpoint, save_safetensors, wire
from symbreak.cli import main
from symbreak.repair import rewrite

RNG = np.random.default_rng(0)


def pruned(seed=0, *, hidden=0.0, tied=True, bias_mask=None):
    """Two dense layers of 5 hidden units as torch saves them; units 1 and 4 are alike but for what a mask hides."""
    rng = np.random.default_rng(seed)
    arrays = {
        "0.bias": rng.normal(size=5),
        "0.weight_orig": rng.normal(size=(5, 4)),
        "0.weight_mask": np.array([[1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1]], "f4"),
        "2.weight": rng.normal(size=(3, 5)),
        "2.bias": rng.normal(size=3),
    }
    if tied:
        arrays["0.weight_orig"][4] = arrays["0.weight_orig"][1]
        arrays["0.weight_orig"][4, 1] += hidden
        arrays["0.bias"][4] = arrays["0.bias"][1]
        arrays["2.weight"][:, 4] = arrays["2.weight"][:, 1]
    if bias_mask is not None:
        arrays["0.bias_orig"], arrays["0.bias_mask"] = arrays.pop("0.bias"), np.array(bias_mask, "f4")
    return arrays


def effective(arrays, name):
    return arrays[name] if name in arrays else arrays[f"{name}_orig"] * arrays[f"{name}_mask"]


def outputs(arrays, x):
    hidden = np.tanh(x @ effective(arrays, "0.weight").T + effective(arrays, "0.bias"))
    return hidden @ effective(arrays, "2.weight").T + arrays["2.bias"]


def found(arrays):
    return [(each.code, each.where, each.groups) for each in sb.diagnose(wire(arrays).graph).findings]


X = RNG.normal(size=(6, 4))
CONFIG = {"hidden_act": "tanh"}


def test_a_pruned_layer_is_a_weight_and_its_mask():
    found = wire(pruned())
    assert (dict(found.unknown), dict(found.apart)) == ({}, {})
    (mask,) = [each for each in found.graph.connections if each.multiplies]
    assert (mask.name, mask.multiplies) == ("0.weight_mask", "0.weight_orig")
    weight = next(each for each in found.graph.connections if each.name == "0.weight_orig")
    assert mask.axes == weight.axes == (("out", "0"), ("in", "input"))
    assert found.graph.writers("0") == ("0.weight_orig", "0.weight_mask")


@pytest.mark.parametrize("hidden", [0.0, 3.0])
def test_what_a_mask_hides_parts_no_units_and_what_it_shows_does(hidden):
    assert found(pruned(hidden=hidden)) == [("SB201", "space 0", ((1, 4),))]
    shown = pruned()
    shown["0.weight_mask"][4, 1] = 1
    assert found(shown) == []
    assert found(pruned(tied=False)) == []


@pytest.mark.parametrize("prefix", ["module.", "encoder.", "_orig_mod.encoder."])
def test_masks_are_found_below_wrappers_and_containers(prefix):
    arrays = {f"{prefix}{name}": array for name, array in pruned().items()}
    graph = wire(arrays).graph
    assert [each.multiplies for each in graph.connections if each.multiplies] == [f"{prefix}0.weight_orig"]
    assert [each.code for each in sb.diagnose(graph).findings] == ["SB201"]


def test_a_mask_alone_and_an_original_alone_are_what_they_are_called():
    arrays = {"fc1.weight": np.ones((4, 3)), "fc1.weight_mask": np.ones((4, 3)), "fc2.weight": np.ones((2, 4))}
    graph = wire(arrays).graph
    assert graph is None or not any(each.multiplies for each in graph.connections)
    spectral = {"fc1.weight_orig": np.ones((4, 3)), "fc1.weight_u": np.ones(4), "fc1.weight_v": np.ones(3)}
    graph = wire(spectral | {"fc2.weight": np.ones((2, 4))}).graph
    assert [each.name for each in graph.connections] == ["fc1.weight_orig", "fc2.weight"]


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("0.weight_mask", (5, 3), "it belongs to '0.weight', of which nothing is known"),
        ("0.bias_mask", (4,), "it belongs to '0.bias', of which nothing is known"),
    ],
)
def test_a_mask_of_another_shape_is_named_and_opens_what_it_may_touch(name, shape, reason):
    arrays = pruned(bias_mask=np.ones(5)) | {name: np.ones(shape)}
    assert wire(arrays).unknown == {name: reason}


def test_a_mask_of_other_values_than_zeros_and_ones_is_named_and_tells_the_units_apart():
    arrays = pruned()
    arrays["0.weight_mask"][0, 0] = 0.5
    report = wire(arrays)
    assert report.unknown == {"0.weight_mask": "a mask holds zeros and ones alone, and this one other values too"}
    assert report.apart["0"] == "'0.weight_mask' may read or write it"
    assert found(arrays) == []


def test_a_pruned_bias_parts_units_whose_masks_differ():
    assert found(pruned(bias_mask=[1, 0, 1, 0, 0])) == [("SB201", "space 0", ((1, 4),))]
    assert found(pruned(bias_mask=[1, 0, 1, 0, 1])) == []


def test_what_the_mask_of_a_bias_hides_parts_no_units_and_is_not_added():
    arrays = pruned(bias_mask=[1, 0, 1, 1, 0])
    arrays["0.bias_orig"][4] += 5.0
    assert found(arrays) == [("SB201", "space 0", ((1, 4),))]
    (mask,) = [each for each in wire(arrays).graph.per_unit if each.multiplies]
    assert (mask.name, mask.multiplies, mask.kind) == ("0.bias_mask", "0.bias_orig", "constant")
    arrays["0.bias_mask"][1] = arrays["0.bias_mask"][4] = 1
    assert found(arrays) == []
    dead = pruned(tied=False, bias_mask=[1, 1, 0, 1, 1])
    dead["0.weight_orig"][2] = dead["2.weight"][:, 2] = 0
    assert dead["0.bias_orig"][2] != 0
    report = sb.diagnose(wire(dead, config={"hidden_act": "tanh"}).graph)
    assert [(each.code, each.groups) for each in report.findings] == [("SB203", ((2,),))]


def test_a_bias_of_two_spaces_has_its_mask_in_both():
    """The units of the second space differ in what the mask shows, though not in what is stored."""
    ones = {"a": np.ones((2, 3)), "b": np.ones((2, 3)), "up": np.ones((1, 2)), "over": np.ones((1, 2))}
    arrays = ones | {"bias_orig": np.ones(2), "bias_mask": np.array([1.0, 0.0])}
    wiring = {
        "version": 1,
        "tensors": {
            "a": ["out h", "in x"],
            "b": ["out k", "in x"],
            "bias": {"axes": ["out h"], "also": [["out k"]], "kind": "bias"},
            "up": ["out y", "in h"],
            "over": ["out z", "in k"],
        },
    }
    graph = wire(arrays, wiring=wiring).graph
    masks = {each.name: each.multiplies for each in graph.per_unit if each.multiplies}
    assert masks == {"bias_mask": "bias_orig", "bias_mask@k": "bias_orig@k"}
    partition = sb.diagnose(graph).partition
    assert (partition["h"].tolist(), partition["k"].tolist()) == ([0, 1], [0, 1])


def test_kernels_recurrent_weights_and_parts_of_an_axis_have_masks_too():
    rng = np.random.default_rng(0)
    arrays = {"0.weight_orig": rng.normal(size=(4, 3, 2, 2)), "2.weight": rng.normal(size=(5, 4, 2, 2))}
    arrays["0.weight_mask"] = np.ones((4, 3, 2, 2))
    arrays["0.weight_mask"][:2, :, 0, 1] = 0
    arrays["0.weight_orig"][1], arrays["2.weight"][:, 1] = arrays["0.weight_orig"][0], arrays["2.weight"][:, 0]
    arrays["0.weight_orig"][1, :, 0, 1] = 7
    assert found(arrays) == [("SB201", "space 0", ((0, 1),))]
    arrays["0.weight_orig"][1, :, 1, 0] = 7  # the other position off the diagonal is not masked
    assert found(arrays) == []
    lstm = {"weight_ih_l0": (16, 3), "weight_hh_l0_orig": (16, 4), "weight_hh_l0_mask": (16, 4), "bias_ih_l0": (16,)}
    wired = wire({name: np.ones(shape) for name, shape in lstm.items()})
    assert (dict(wired.unknown), [each.multiplies for each in wired.graph.connections]) == (
        {},
        [None, None, "weight_hh_l0_orig"],
    )
    fused = {"in_proj_weight_orig": (72, 24), "in_proj_weight_mask": (72, 24), "out_proj.weight": (24, 24)}
    wired = wire({name: np.ones(shape) for name, shape in fused.items()}, config={"num_heads": 4})
    assert not wired.unknown
    assert {each.name: each.multiplies for each in wired.graph.connections if each.multiplies} == {
        f"in_proj_weight_mask[{part}]": f"in_proj_weight_orig[{part}]" for part in ("query", "key", "value")
    }


def test_a_merge_of_pruned_kernels_keeps_what_their_masks_show():
    rng = np.random.default_rng(0)
    arrays = {"0.weight_orig": rng.normal(size=(4, 3, 2, 2)), "2.weight_orig": rng.normal(size=(5, 4, 2, 2))}
    masks = {"0.weight_mask": rng.random((4, 3, 2, 2)) > 0.3, "2.weight_mask": rng.random((5, 4, 2, 2)) > 0.3}
    arrays |= {name: mask.astype("f4") for name, mask in masks.items()}
    for leaf in ("orig", "mask"):
        arrays[f"0.weight_{leaf}"][3] = arrays[f"0.weight_{leaf}"][1]
        arrays[f"2.weight_{leaf}"][:, 3] = arrays[f"2.weight_{leaf}"][:, 1]
    arrays["0.weight_orig"][3] += 5 * (arrays["0.weight_mask"][3] == 0)
    graph = wire(arrays, config=CONFIG).graph
    after, _ = rewrite(arrays, graph, sb.merge(graph))
    first, second = (effective(arrays, name) for name in ("0.weight", "2.weight"))
    assert np.array_equal(effective(after, "0.weight"), first[:3])
    second[:, 1] += second[:, 3]
    assert np.abs(effective(after, "2.weight") - second[:, :3]).max() < 1e-12


def test_a_pruned_model_without_ties_has_no_findings(tmp_path):
    save_safetensors(tmp_path / "model.safetensors", pruned(tied=False, bias_mask=[1, 0, 1, 0, 1]))
    report = sb.diagnose(tmp_path / "model.safetensors", wiring=True)
    assert report.ok
    assert not report.findings


def tied_table(mask):
    table = RNG.normal(size=(17, 24))
    names = {"transformer.wte": mask, "lm_head": mask}
    shapes = {"h.0.attn.c_attn.weight": (24, 72), "h.0.attn.c_proj.weight": (24, 24), "ln_f.weight": (24,)}
    arrays = {f"transformer.{name}": RNG.normal(size=shape) for name, shape in shapes.items()}
    return arrays | {f"{name}.weight_orig": table for name in names} | {f"{name}.weight_mask": mask for name in names}


def test_a_weight_of_two_names_has_one_mask_and_a_second_one_is_named():
    config = {"n_head": 4}
    arrays = tied_table((RNG.random((17, 24)) > 0.3).astype("f4"))
    wired = wire(arrays, config=config)
    assert not wired.unknown
    assert [each.name for each in wired.graph.connections if each.multiplies] == ["transformer.wte.weight_mask"]
    arrays["lm_head.weight_mask"] = 1 - arrays["lm_head.weight_mask"]
    wired = wire(arrays, config=config)
    assert wired.unknown == {"lm_head.weight_mask": "'transformer.wte.weight_orig' has a mask of another name too"}


@pytest.mark.parametrize("repair", [sb.merge, lambda graph: sb.untie(graph, rng=0), lambda graph: sb.reinit(graph, 0)])
def test_a_repair_of_a_pruned_layer_goes_back_to_its_tensors(repair):
    arrays = pruned(hidden=3.0)
    graph = wire(arrays, config=CONFIG).graph
    after, changes = rewrite(arrays, graph, repair(graph))
    assert changes
    assert not [code for code, *_ in found(after) if code != "SB202"]
    if repair is sb.merge:
        assert after["0.weight_orig"].shape == after["0.weight_mask"].shape == (4, 4)
        assert after["2.weight"].shape == (3, 4)
    assert set(np.unique(after["0.weight_mask"])) == {0, 1}


@pytest.mark.parametrize("flag", ["--merge", "--untie"])
@pytest.mark.parametrize("bias_mask", [None, [1, 0, 1, 1, 0]])
def test_a_file_of_a_pruned_model_is_repaired_and_computes_the_same(tmp_path, flag, bias_mask):
    arrays = pruned(hidden=3.0, bias_mask=bias_mask)
    save_safetensors(tmp_path / "in.safetensors", arrays)
    assert main(["repair", str(tmp_path / "in.safetensors"), "-o", str(tmp_path / "out.safetensors"), flag]) == 0
    with open_checkpoint(tmp_path / "out.safetensors") as ckpt:
        after = {name: np.array(ckpt[name]) for name in ckpt}
    assert list(after) == list(arrays)
    assert np.abs(outputs(after, X) - outputs(arrays, X)).max() < 1e-12
    assert not [code for code, *_ in found(after) if code != "SB202"]


def test_torch_itself_saves_what_is_read_here():
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 2), torch.nn.ReLU(), torch.nn.Conv2d(4, 6, 2), torch.nn.Flatten(), torch.nn.Linear(24, 2)
    )
    prune.l1_unstructured(model[0], "weight", 0.3)
    prune.ln_structured(model[2], "weight", 0.5, 2, 0)
    prune.random_unstructured(model[2], "bias", 0.5)
    prune.l1_unstructured(model[4], "weight", 0.3)
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    wired = wire(arrays)
    assert not wired.unknown
    assert {each.name: each.multiplies for each in wired.graph.connections if each.multiplies} == {
        f"{n}.weight_mask": f"{n}.weight_orig" for n in (0, 2, 4)
    }
    assert {each.name: each.kind for each in wired.graph.per_unit} == {
        "0.bias": "bias", "2.bias_orig": "bias", "2.bias_mask": "constant", "4.bias": "bias",
    }  # fmt: skip
