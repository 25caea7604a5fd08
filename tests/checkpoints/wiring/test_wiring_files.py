"""A wiring file says what no rule knows, and every mistake in it is one clear error."""

import json
import re

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import Wiring, read_wiring, save_wiring, wire

ARRAYS = {
    "embed": np.ones((11, 8)),
    "block.0.qkv": np.ones((24, 8)),
    "block.0.out": np.ones((8, 8)),
    "block.0.gate_up": np.ones((12, 8)),
    "block.0.down": np.ones((8, 6)),
    "block.0.norm": np.ones(8),
    "block.1.qkv": np.ones((24, 8)),
    "block.1.out": np.ones((8, 8)),
    "block.1.gate_up": np.ones((12, 8)),
    "block.1.down": np.ones((8, 6)),
    "block.1.norm": np.ones(8),
    "mask": np.ones((5, 5)),
}
COMPLETE = """
version = 1

[tensors]
"embed" = { axes = ["in tokens", "out stream"], also = [["out tokens", "in stream"]] }
"block.{n}.norm" = { axes = ["out stream"], kind = "scale" }
"block.{n}.out" = ["out stream", ["head block.{n}.heads", "in block.{n}.value"]]
"block.{n}.down" = ["out stream", "in block.{n}.mlp"]

[tensors."block.{n}.qkv"]
axes = [{ query = [
    "head block.{n}.heads", "out block.{n}.query_key"
  ], key = [
    "head block.{n}.heads", "out block.{n}.query_key"
  ], value = [
    "head block.{n}.heads", "out block.{n}.value"
  ] }, "in stream"]

[tensors."block.{n}.gate_up"]
axes = [{ gate = "out block.{n}.mlp", up = "out block.{n}.mlp" }, "in stream"]

[spaces]
"tokens" = { input = true, output = true }
"block.{n}.heads" = { units = 2 }
"block.{n}.mlp" = { activation = "silu" }
"block.{n}.query_key" = { apart = "rotary positions" }

[ignore]
"mask" = "a causal mask"
"""


def test_a_complete_file_wires_every_tensor(tmp_path):
    path = tmp_path / "wiring.toml"
    path.write_text(COMPLETE)
    found = wire(ARRAYS, wiring=path)
    assert (found.rule, dict(found.unknown), dict(found.apart)) == ("wiring", {}, {})
    graph = found.graph
    assert graph.weights["block.1.qkv[value]"].shape == (2, 4, 8)
    assert np.shares_memory(graph.weights["block.1.qkv[value]"], ARRAYS["block.1.qkv"])
    assert graph.writers("block.0.mlp") == ("block.0.gate_up[gate]", "block.0.gate_up[up]")
    assert graph.writers("tokens") == graph.readers("tokens") == ("embed",)
    assert graph.space("block.1.mlp").activation == "silu"
    assert graph.arrays["block.0.query_key.apart"].tolist() == [[1, 2, 3, 4]] * 2
    assert graph.inputs == graph.outputs == ("tokens",)


def test_parts_are_taken_in_order_from_where_they_lie():
    fused = np.arange(12.0).reshape(6, 2)
    axes = [{"first": "out a", "second": "out b"}, "in x"]
    graph = wire({"w": fused}, wiring={"version": 1, "tensors": {"w": axes}, "spaces": {"a": {"units": 2}}}).graph
    assert graph.weights["w[first]"].tolist() == fused[:2].tolist()
    assert graph.weights["w[second]"].tolist() == fused[2:].tolist()


def test_parts_may_lie_between_the_factors_of_an_axis():
    """GPT-NeoX keeps queries, keys and values of one head together: heads, parts, units."""
    fused = np.arange(2 * 3 * 4 * 5).reshape(24, 5)
    parts = {"query": "out qk", "key": "out qk", "value": "out v"}
    spaces = {"heads": {"units": 2}, "v": {"units": 4}}
    axes = [["head heads", parts], "in x"]
    graph = wire({"w": fused}, wiring={"version": 1, "tensors": {"w": axes}, "spaces": spaces}).graph
    whole = fused.reshape(2, 3, 4, 5)
    for number, part in enumerate(parts):
        assert graph.weights[f"w[{part}]"].tolist() == whole[:, number].tolist()


def test_what_a_file_says_nothing_of_is_reported_and_opens_what_it_may_touch():
    found = wire(
        {"a": np.ones((4, 3)), "b": np.ones((7, 4))}, wiring={"version": 1, "tensors": {"a": ["out h", "in x"]}}
    )
    assert found.unknown == {"b": "the wiring says nothing of it"}
    assert found.apart == {"h": "'b' may read or write it"}
    assert set(found.graph.inputs) == {"h", "x"}


def test_a_star_stands_for_anything_and_a_name_that_is_too_long_is_matched_by_nothing():
    """A wiring names a space for each number, and stars for what is to be ignored."""
    long = "w.0." + "x" * 1000
    arrays = {"w.0.up": np.ones((4, 3)), "w.1.up": np.ones((4, 3)), "w.0.mask": np.ones(5), "w.1.mask": np.ones(5)}
    arrays |= {f"{n}.down": np.ones((2, 3)) for n in "ab"}
    wiring = {
        "version": 1,
        "tensors": {"w.{n}.up": ["out h.{n}", "in x"], "*.down": ["out y", "in x"]},
        "ignore": {"w.*.mask": "masks", "w.0.x*": "long names"},
    }
    found = wire(arrays | {"w.0.x": np.ones(5), long: np.ones(5)}, wiring=wiring)
    assert {space.name for space in found.graph.spaces} == {"h.0", "h.1", "x", "y"}
    assert set(found.graph.writers("y")) == {"a.down", "b.down"}
    assert dict(found.unknown) == {long: "the wiring says nothing of it"}


def test_a_groups_mask_says_which_heads_share():
    tensors = {"q": [["head heads", "out qk"], "in x"], "k": [["head groups", "out qk"], "in x"]}
    spaces = {"heads": {"units": 4, "groups": "groups"}, "groups": {"units": 2}}
    arrays = {"q": np.ones((12, 5)), "k": np.ones((6, 5))}
    graph = wire(arrays, wiring={"version": 1, "tensors": tensors, "spaces": spaces}).graph
    assert graph.weights["heads.groups"].tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_json_and_a_mapping_say_the_same_as_toml(tmp_path):
    (tmp_path / "wiring.toml").write_text(COMPLETE)
    wiring = read_wiring(tmp_path / "wiring.toml")
    assert isinstance(wiring, Wiring)
    save_wiring(wiring, tmp_path / "wiring.json")
    content = json.loads((tmp_path / "wiring.json").read_text())
    shown = {str(wire(ARRAYS, wiring=each).graph) for each in (wiring, tmp_path / "wiring.json", content)}
    assert len(shown) == 1


@pytest.mark.parametrize("norm", ["layer", "rms", "batch", "group"])
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_file_says_which_norm_a_scale_is_of(tmp_path, norm, suffix):
    content = {"version": 1, "tensors": {"w": W, "s": {"axes": ["out h"], "kind": "scale", "norm": norm}}}
    arrays = {"w": np.ones((4, 3)), "s": np.ones(4)}
    found = wire(arrays, wiring=content)
    save_wiring(found, tmp_path / f"w{suffix}")
    for graph in (found.graph, wire(arrays, wiring=tmp_path / f"w{suffix}").graph):
        assert [each.norm for each in graph.per_unit] == [norm]


def test_a_norm_without_a_mean_may_run_over_the_parts_of_an_axis():
    content = {"tensors": {"s": {"axes": [{"a": "out h", "b": "out g"}], "kind": "scale", "norm": "rms"}}}
    content |= {"version": 1, "spaces": {"h": {"units": 3}}}
    content["tensors"] |= {"w": ["out h", "in x"], "v": ["out y", "in g"]}
    graph = wire({"s": np.ones(5), "w": np.ones((3, 4)), "v": np.ones((1, 2))}, wiring=content).graph
    assert [(each.name, each.norm) for each in graph.per_unit] == [("s[a]", "rms"), ("s[b]", "rms")]


def test_names_of_any_characters_survive_the_file(tmp_path):
    name = 'a"\\\x7f\n\t= [x] é'
    found = wire({name: np.ones((3, 2))}, wiring={"version": 1, "tensors": {name: ["out h h", "in x]"]}})
    for suffix in (".toml", ".json"):
        save_wiring(found, tmp_path / f"w{suffix}")
        assert str(wire({name: np.ones((3, 2))}, wiring=tmp_path / f"w{suffix}").graph) == str(found.graph)


def test_what_is_no_wiring_is_not_written(tmp_path):
    found = wire({"w": np.ones((3, 2))}, wiring={"version": 1, "tensors": {"w": ["out h", "in x"]}})
    with pytest.raises(TypeError, match=r"takes what `wire` returned, then a path; got str, Wired"):
        save_wiring("w.toml", found)
    with pytest.raises(
        TypeError, match=r"takes what `wire` returned, then a path; got NoneType, PosixPath|WindowsPath"
    ):
        save_wiring(None, tmp_path / "w.toml")
    assert list(tmp_path.iterdir()) == []


W = ["out h", "in x"]
FAULTS = {
    "no version": ({"tensors": {"w": W}}, r"needs `version = 1`; it has None"),
    "another version": ({"version": 2, "tensors": {"w": W}}, r"needs `version = 1`; it has 2"),
    "no tensors": ({"version": 1}, "says nothing of any tensor"),
    "an unknown table": ({"tensor": {}}, "the wiring: nothing is called 'tensor' here; known are version, tensors"),
    "tensors that are no table": ({"tensors": [1]}, "`tensors`: a table is needed, not"),
    "a tensor that is not there": ({"tensors": {"ww": W}}, "names 'ww', and no tensor is called so; nearest: 'w'"),
    "a pattern that matches nothing": ({"tensors": {"w.{n}": W}}, r"names 'w.\{n\}', and no tensor"),
    "a number for axes": ({"tensors": {"w": 3}}, "'w': a table is needed, not 3"),
    "axes that are no list": ({"tensors": {"w": {"axes": "out h"}}}, "the axes are a list with one entry an axis"),
    "no axes": ({"tensors": {"w": {"kind": "bias"}}}, "'w': needs `axes`"),
    "an unknown key": ({"tensors": {"w": {"axes": W, "kin": "bias"}}}, "nothing is called 'kin' here"),
    "an unknown kind": ({"tensors": {"w": {"axes": W, "kind": "wight"}}}, "no kind is called wight; it is one of"),
    "an unknown norm": (
        {"tensors": {"w": {"axes": ["out h", "receptive"], "kind": "scale", "norm": "laier"}}},
        "'w': no norm is called laier; it is one of layer, rms, batch, group",
    ),
    "a norm of a weight": (
        {"tensors": {"w": {"axes": W, "norm": "rms"}}},
        "'w': of kind 'weight', it belongs to no norm; those of norms are scale, shift, mean, variance",
    ),
    "a layer norm over the units of several spaces": (
        {"tensors": {"w": {"axes": [{"a": "out h", "b": "out g"}, "gate"], "kind": "scale", "norm": "layer"}}},
        "'w': a layer norm takes the mean over the units of all parts of an axis that is cut; leave out its `norm`",
    ),
    "also that is no list": ({"tensors": {"w": {"axes": W, "also": 3}}}, "`also` is a list of further uses"),
    "too few axes": ({"tensors": {"w": ["out h"]}}, "a weight needs an 'out' and an 'in' axis, and has no 'in'"),
    "no out": ({"tensors": {"w": ["in h", "in x"]}}, "and has no 'out'"),
    "an axis too few": (
        {"tensors": {"w": W, "v": {"axes": ["out h"], "kind": "bias"}}},
        r"'v': its shape \(2, 5\) has 2 axes, but 1 are said$",
    ),
    "an axis too many": ({"tensors": {"w": [*W, "receptive"]}}, r"its shape \(4, 3\) has 2 axes, but 3 are said"),
    "a per-unit parameter that reads": (
        {"tensors": {"w": {"axes": W, "kind": "bias"}}},
        "of kind 'bias', it needs exactly one 'out' axis and no 'in' axis",
    ),
    "a part that does not read": (
        {"tensors": {"w": [{"a": "out h", "b": "gate 2"}, "in x"]}},
        "'w', part 'b': a weight needs an 'out'",
    ),
    "an unknown role": ({"tensors": {"w": ["outt h", "in x"]}}, "'outt h' has no role that is known; an axis begins"),
    "a role without a space": ({"tensors": {"w": ["out", "in x"]}}, "'out' names no space; write 'out hidden'"),
    "a gate with a name": ({"tensors": {"w": ["gate h", "in x"]}}, "'gate h' is followed by a number of positions"),
    "an axis that is a number": ({"tensors": {"w": [3, "in x"]}}, "an axis is a text like 'out hidden'"),
    "a factor that is a number": ({"tensors": {"w": [["out h", 3], "in x"]}}, "a factor of an axis is a text"),
    "two cuts": ({"tensors": {"w": [{"a": "out h"}, {"b": "in x"}]}}, "only one axis can be cut into parts"),
    "a cut in a cut": ({"tensors": {"w": [{"a": {"b": "out h"}}, "in x"]}}, "a part can't be cut again"),
    "by without a cut": ({"tensors": {"w": ["out h", {"by": {"a": "in x"}}]}}, "a table under 'by' has the parts"),
    "by as a factor": (
        {"tensors": {"w": [{"a": "out h"}, ["one", {"by": {"a": "in x"}}]]}},
        "a table under 'by' stands for a whole axis",
    ),
    "a placeholder from nowhere": ({"tensors": {"w": ["out h.{n}", "in x"]}}, r"has the placeholder \{n\}, which"),
    "a star in a space": ({"tensors": {"w": ["out h*", "in x"]}}, r"has a '\*'; the name of a space"),
    "a brace": ({"tensors": {"w{": W}}, "has a brace that is no placeholder"),
    "three stars": ({"tensors": {"***": W}}, r"has more than two '\*'"),
    "a long pattern": ({"tensors": {"w" * 1001: W}}, "a pattern has at most 1000 characters; one has 1,001"),
    "sizes that don't meet": (
        {"tensors": {"w": W, "v": ["out y", "in h"]}},
        r"'v': axis 1 of its shape \(2, 5\) has 5, but what is said of it makes 4; of 'h', 'w' says so",
    ),
    "units that don't meet": (
        {"tensors": {"w": W}, "spaces": {"h": {"units": 3}}},
        r"axis 0 of its shape \(4, 3\) has 4, but what is said of it makes 3; of 'h', it was declared",
    ),
    "units that don't divide": (
        {"tensors": {"w": [["head heads", "out h"], "in x"]}, "spaces": {"heads": {"units": 3}}},
        "has 4, which no whole number of units of 'h' fits",
    ),
    "sizes that nothing tells": (
        {"tensors": {"w": [["head heads", "out h"], "in x"]}},
        "'w': the size of space 'heads' isn't known; say its `units`",
    ),
    "positions that nothing counts": (
        {"tensors": {"w": [{"a": ["out h", "gate"], "b": "out g"}, "in x"]},
         "spaces": {"h": {"units": 2}, "g": {"units": 2}}},
        "the number of positions isn't known; write it, as in 'gate 4'",
    ),
    "absurd units": (
        {"tensors": {"w": [["head a", "out h"], "in x"]}, "spaces": {"a": {"units": 1 << 60}}},
        "multiply to more than any tensor has",
    ),
    "a space that nothing runs over": (
        {"tensors": {"w": W}, "spaces": {"hh": {"units": 4}}},
        "says something of space 'hh', over which no tensor runs; nearest: 'h'",
    ),
    "a space that is no table": ({"tensors": {"w": W}, "spaces": {"h": 4}}, "space 'h': a table is needed, not 4"),
    "an unknown fact": ({"tensors": {"w": W}, "spaces": {"h": {"unit": 4}}}, "nothing is called 'unit' here"),
    "no units": ({"tensors": {"w": W}, "spaces": {"h": {"units": 0}}}, "`units` is a number of units, 1 or more, not"),
    "units that are true": ({"tensors": {"w": W}, "spaces": {"h": {"units": True}}}, "`units` is a number of units"),
    "an input that is a text": ({"tensors": {"w": W}, "spaces": {"h": {"input": "y"}}}, "`input` is true or false"),
    "an activation that is none": ({"tensors": {"w": W}, "spaces": {"h": {"activation": 1}}}, "`activation` is a text"),
    "groups in a circle": (
        {"tensors": {"w": W}, "spaces": {"h": {"groups": "x"}, "x": {"groups": "h"}}},
        "the groups of space 'h' go in a circle: h -> x -> h",
    ),
    "groups that are not there": (
        {"tensors": {"w": W}, "spaces": {"h": {"groups": "g"}}},
        "groups 'h' by 'g', over which no tensor runs",
    ),
    "groups that don't divide": (
        {"tensors": {"w": W}, "spaces": {"h": {"groups": "x"}}},
        "4 units of 'h' can't share 3 of 'x' evenly",
    ),
    "an ignored tensor without a reason": ({"tensors": {"w": W}, "ignore": {"v": ""}}, "'v' needs a reason"),
    "two uses that are split otherwise": (
        {"tensors": {"w": {"axes": W, "also": [[["head a", "out b"], "in x"]]}}, "spaces": {"a": {"units": 2}}},
        "it is used twice, and its axes are split into",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["out h"], "its shape (1, 4) has 2 axes, but 1 are said"),
        (["gate 2", "out h"], "axis 0 of its shape (1, 4) has 1, but what is said of it makes 2"),
    ],
)
def test_an_axis_of_length_one_has_a_name(axes, message):
    arrays = {"w": np.ones((4, 3)), "b": np.ones((1, 4))}
    content = {"version": 1, "tensors": {"w": W, "b": {"axes": axes, "kind": "bias"}}}
    with pytest.raises(
        ValueError, match=re.escape(f"{message}; an axis of length 1 over which no space runs is called")
    ):
        wire(arrays, wiring=content)
    content["tensors"]["b"]["axes"] = ["one", "out h"]
    assert not wire(arrays, wiring=content).unknown


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_wiring_is_one_clear_error(fault):
    content, message = FAULTS[fault]
    content = content if fault in ("no version", "another version", "no tensors") else {"version": 1, **content}
    with pytest.raises(ValueError, match=message):
        wire({"w": np.ones((4, 3)), "v": np.ones((2, 5))}, wiring=content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.toml", b"version = ", "w.toml: is not TOML"),
        ("w.toml", b"\xff", "w.toml: is not UTF-8 at byte 0"),
        ("w.toml", b"a = " + b"[" * 20_000, "nested too deeply|is not TOML"),
        ("w.toml", b"#" * ((4 << 20) + 1), "a wiring file has at most 4,194,304"),
        ("w.toml", b"version = 1", "w.toml: the wiring says nothing of any tensor"),
        ("w.json", b"{", "w.json: the wiring is not JSON"),
        ("w.json", b'{"version": 1, "version": 1}', "the wiring has the key 'version' twice"),
    ],
)
def test_a_malformed_file_is_refused_and_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_wiring(tmp_path / name)


MASKED = {
    "version": 1,
    "tensors": {
        "keep.{n}": {"axes": ["out h{n}", "in h"], "multiplies": "w.{n}"},
        "keep": {"axes": ["out h"], "kind": "constant", "multiplies": "b"},
        "w.{n}": ["out h{n}", "in h"],
        "up": ["out h", "in x"],
        "b": {"axes": ["out h"], "kind": "bias"},
    },
}
PRUNED = {
    "up": np.ones((4, 3)),
    "b": np.array([1.0, 1.0, 7.0, 1.0]),
    "keep": np.array([1, 1, 0, 0]),
    "w.0": np.ones((2, 4)),
    "keep.0": np.array([[1, 1, 0, 0], [1, 1, 1, 1]]),
}


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_file_says_what_a_mask_multiplies(tmp_path, suffix):
    wired = wire(PRUNED, wiring=MASKED)
    arrays = (*wired.graph.connections, *wired.graph.per_unit)
    assert {each.name: each.multiplies for each in arrays if each.multiplies} == {"keep.0": "w.0", "keep": "b"}
    assert sb.diagnose(wired.graph).partition["h"].tolist() == [0, 0, 1, 1]  # what is stored in b differs
    save_wiring(wired, tmp_path / f"wiring{suffix}")
    again = wire(PRUNED, wiring=tmp_path / f"wiring{suffix}")
    assert sorted(map(repr, again.graph.connections)) == sorted(map(repr, wired.graph.connections))
    assert sorted(map(repr, again.graph.per_unit)) == sorted(map(repr, wired.graph.per_unit))


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"multiplies": 3}, "`multiplies` is the name of a tensor, not 3"),
        ({"multiplies": ""}, "`multiplies` is the name of a tensor, not ''"),
        ({"multiplies": "w.{m}"}, r"has the placeholder {m}, which the tensor's name hasn't"),
        ({"multiplies": "w.*"}, r"has a '\*'; `multiplies` has only placeholders"),
        ({"multiplies": "w.{n}", "also": [["out h", "in h{n}"]]}, "so no `also` and no `norm`"),
        ({"multiplies": "u.{n}"}, "'keep.0' multiplies 'u.0', and no tensor is called so"),
        ({"multiplies": "keep.{n}"}, "'keep.0': it masks 'keep.0', which isn't in the graph"),
        ({"multiplies": "w.{n}", "axes": ["out h{n}", "in x"]}, "which is|axis 1 of its shape"),
    ],
)  # fmt: skip
def test_a_mask_that_a_file_says_wrongly_is_an_error(entry, error):
    tensors = MASKED["tensors"] | {"keep.{n}": MASKED["tensors"]["keep.{n}"] | entry}
    with pytest.raises(ValueError, match=error):
        wire(PRUNED, wiring={"version": 1, "tensors": tensors})


def test_a_mask_of_other_values_than_zeros_and_ones_in_a_file_is_an_error():
    with pytest.raises(ValueError, match=r"'keep.0': a mask holds zeros and ones alone, and this one other values too"):
        wire(PRUNED | {"keep.0": np.full((2, 4), 0.5)}, wiring=MASKED)
