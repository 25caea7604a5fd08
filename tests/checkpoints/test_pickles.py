"""A pickle is never run: whatever it would call is named in a refusal, and the canary is not touched."""

import pickle

import pytest

from symbreak.checkpoints import _opcodes, _torch_zip, open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import (
    called,
    dict_of,
    integer,
    integers,
    name,
    pickled,
    read_all,
    stack_name,
    storage,
    tensor,
    text,
    torch_zip,
    tuple_of,
)

STORAGE = {"0": bytes(16)}


class Reduces:
    """An object whose pickle is one call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def attacks(canary):
    """Pickles that create the file `canary` when they are loaded, and what each would call."""
    import builtins
    import os
    import subprocess

    touch, source = f"touch {canary}", f"open({str(canary)!r}, 'w')"
    system = called(name("os.system"), text(touch))
    hooks = called(
        name("torch._utils._rebuild_tensor_v2"), storage(), integer(0), integers([4]), integers([1]), b"\x89", system
    )
    return {
        "os.system": ("posix.system|nt.system", pickle.dumps(Reduces(os.system, (touch,)), 2)),
        "os.system, protocol 4": ("posix.system|nt.system", pickle.dumps(Reduces(os.system, (touch,)), 4)),
        "eval": ("builtins.eval", pickle.dumps(Reduces(builtins.eval, (source,)), 4)),
        "eval of Python 2": ("__builtin__.eval", pickle.dumps(Reduces(builtins.eval, (source,)), 2)),
        "exec": ("builtins.exec", pickle.dumps(Reduces(builtins.exec, (source,)), 5)),
        "getattr": ("builtins.getattr", pickle.dumps({"w": Reduces(getattr, (os, "x")).__reduce__()[0]}, 4)),
        "subprocess": (
            "subprocess.Popen|commands.Popen",
            pickle.dumps(Reduces(subprocess.Popen, (["touch", str(canary)],)), 2),
        ),
        "a new object of subprocess": (
            "subprocess.Popen",
            pickled(name("subprocess.Popen"), tuple_of(text(touch)), b"\x81"),
        ),
        "nested in lists and dicts": (
            "posix.system|nt.system",
            pickle.dumps({"model": {"layers": [{"w": Reduces(os.system, (touch,))}]}}, 2),
        ),
        "in an OrderedDict": (
            "os.system",
            pickled(called(name("collections.OrderedDict")), b"(", text("w"), system, b"u"),
        ),
        "in the state of an OrderedDict": (
            "os.system",
            pickled(called(name("collections.OrderedDict")), dict_of(_metadata=system), b"b"),
        ),
        "in the hooks of a tensor": ("os.system", pickled(hooks)),
        "by STACK_GLOBAL": ("os.system", pickled(called(stack_name("os.system"), text(touch)))),
        "by STACK_GLOBAL, through another module": (
            "torch.serialization.os.system",
            pickled(text("torch"), text("serialization.os.system"), b"\x93", tuple_of(text(touch)), b"R"),
        ),
        "by INST": ("os.system", pickled(b"(", text(touch), b"ios\nsystem\n")),
        "by OBJ": ("os.system", pickled(b"(", name("os.system"), text(touch), b"o")),
        "by NEWOBJ_EX": ("os.system", pickled(name("os.system"), tuple_of(text(touch)), b"}\x92")),
        "thrown away after the call": ("os.system", pickled(system, b"0", tensor())),
        "remembered under a mark": ("os.system", pickled(b"(", system, b"q\x00", b"1", tensor())),
        "a class of its own": ("evil.Payload", pickled(called(name("evil.Payload"), text(touch)))),
        "a class of torch's": ("torch.hub.load", pickled(called(name("torch.hub.load"), text(touch)))),
        "as a factory": (
            "os.system",
            pickled(called(name("collections.defaultdict"), name("os.system"))),
        ),
        "named only": ("builtins.eval", pickled(name("builtins.eval"))),
        "named only, thrown away": ("builtins.eval", pickled(name("builtins.eval"), b"0", tensor())),
        "a new object through another module": (
            "torch.serialization.os.popen",
            pickled(text("torch"), text("serialization.os.popen"), b"\x93", tuple_of(text(touch)), b"\x81"),
        ),
        "a partial": ("functools.partial", pickled(called(name("functools.partial"), name("os.system"), text(touch)))),
        "a rebuild through a subclass": (
            "os.system",
            pickled(
                called(
                    name("torch._tensor._rebuild_from_type_v2"),
                    name("os.system"),
                    name("torch.Tensor"),
                    tuple_of(),
                    b"}",
                )
            ),
        ),
    }


ONLY_NAMED = {"as a factory", "getattr", "named only", "named only, thrown away"}


@pytest.mark.parametrize("attack", sorted(attacks("x")))
def test_a_pickle_that_would_call_is_refused_by_name_and_nothing_runs(tmp_path, attack):
    canary = tmp_path / "canary"
    callee, program = attacks(canary)[attack]
    (tmp_path / "a.pt").write_bytes(torch_zip(program, STORAGE))
    verb = "names" if attack in ONLY_NAMED else "would call"
    with pytest.raises(BadCheckpoint, match=f"its pickle {verb} ({callee}), which no tensor needs"):
        read_all(tmp_path / "a.pt")
    assert not canary.exists()


def test_the_canary_can_be_touched(tmp_path):
    """The attacks are real: pickle itself runs the first of them."""
    canary = tmp_path / "canary"
    pickle.loads(attacks(canary)["eval"][1]).close()
    assert canary.exists()


def test_the_message_says_what_would_be_called_that_nothing_was_and_what_to_do(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(called(name("posix.system"), text("true")))))
    with pytest.raises(BadCheckpoint) as caught:
        open_checkpoint(tmp_path / "a.pt")
    assert str(caught.value) == (
        f"{tmp_path}/a.pt: its pickle would call posix.system, which no tensor needs; nothing was run; "
        "save its state_dict alone, or convert it to safetensors where you trust it"
    )


def test_a_name_of_escapes_is_shown_escaped(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(called(stack_name("\x1b]0;x.\u202esystem")))))
    with pytest.raises(BadCheckpoint, match=r"would call \\x1b\]0;x\.\\u202esystem"):
        open_checkpoint(tmp_path / "a.pt")


def test_an_object_of_an_unknown_class_is_reported_and_the_tensors_in_it_are_read(tmp_path):
    instance = name("project.Config") + tuple_of() + b"\x81" + dict_of(rate=b"N", w=tensor()) + b"b"
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(dict_of(config=instance, b=tensor())), STORAGE))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert list(ckpt) == ["config.w", "b"]
        (item,) = ckpt.skipped
    assert (item.name, item.reason) == ("config", "an object of the class project.Config, which is not rebuilt")


def test_what_is_appended_to_an_object_of_an_unknown_class_is_read(tmp_path):
    """A subclass of list, say: it is filled like a list."""
    instance = name("project.Layers") + tuple_of() + b"\x81" + b"(" + tensor() + b"N" + b"e" + tensor() + b"a"
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(dict_of(layers=instance)), STORAGE))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert list(ckpt) == ["layers.0", "layers.2"]
        assert [item.name for item in ckpt.skipped] == ["layers"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (called(name("torch._tensor._rebuild_from_type_v2")), "its pickle describes a tensor that makes no sense"),
        (called(name("torch.Size"), text("4")), r"its pickle describes a torch\.Size that makes no sense"),
        (b"(" + text("a") + b"o", "its pickle would call what is no name"),
    ],
)
def test_what_is_made_of_something_else_is_refused(tmp_path, parts, message):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(parts)))
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("module", "limit", "most", "message"),
    [
        (_opcodes, "MOST_STEPS", 20, "its pickle has more than 20 steps"),
        (_opcodes, "MOST_BYTES", 20, r"its pickle has [0-9]+ bytes"),
        (_torch_zip, "MOST_BYTES", 20, r"its pickle has [0-9]+ bytes; save tensors, not text or lists"),
    ],
)
def test_a_pickle_that_is_too_long_is_refused(tmp_path, monkeypatch, module, limit, most, message):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(dict_of(w=tensor())), STORAGE))
    monkeypatch.setattr(module, limit, most)
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(tmp_path / "a.pt")


def test_a_module_is_told_once_and_what_else_is_not_rebuilt_by_itself(tmp_path):
    """What lies in a module is judged, so its parts are no news; an object of another class may hold anything."""

    def instance(kind, **state):
        return name(f"project.{kind}") + tuple_of() + b"\x81" + dict_of(**state) + b"b"

    inner = instance("Layer", _parameters=dict_of(w=tensor()), _modules=dict_of())
    listed = instance("Layer", _parameters=dict_of(), _modules=dict_of(inner=inner))
    whole = instance("Net", _parameters=dict_of(), _modules=dict_of(inner=inner), table=instance("Table", more=listed))
    half = instance("Half", _parameters=dict_of(w=tensor()))
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(dict_of(one=whole, two=inner, three=half)), STORAGE))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        found = {item.name: (item.reason, item.fix is not None) for item in ckpt.skipped}
        assert "one._modules.inner._parameters.w" in ckpt
        assert "one.table.more._modules.inner._parameters.w" in ckpt
    assert found == {
        "one": ("a whole module of the class project.Net, which is not rebuilt", True),
        "one.table": ("an object of the class project.Table, which is not rebuilt", False),
        "two": ("a whole module of the class project.Layer, which is not rebuilt", True),
        "three": ("an object of the class project.Half, which is not rebuilt", False),
    }


def test_tuples_nested_300_000_deep_are_walked_without_recursion(tmp_path):
    """Hashing, comparing or printing such a tuple would end the process."""
    program = pickled(dict_of(w=tensor()), b")" + b"\x85" * 300_000, b"\x85\x86")
    (tmp_path / "a.pt").write_bytes(torch_zip(program, STORAGE))
    with pytest.raises(BadCheckpoint, match="nested more than 500 deep"):
        open_checkpoint(tmp_path / "a.pt")
    as_key = pickled(b"}", b")" + b"\x85" * 300_000, b"Ns")
    (tmp_path / "a.pt").write_bytes(torch_zip(as_key, STORAGE))
    with pytest.raises(BadCheckpoint, match="nested more than 500 deep"):
        open_checkpoint(tmp_path / "a.pt")


def laughs(leaf, levels=40):
    """Lists of ten times the list before: ten to the power of `levels` paths from a few bytes."""
    program = b"]" + leaf + b"aq\x00"
    for _ in range(levels):
        program += b"0](" + b"h\x00" * 10 + b"eq\x00"
    return pickled(program)


def test_a_billion_laughs_without_a_tensor_are_walked_once(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_zip(laughs(b"N")))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert len(ckpt) == 0


def test_a_billion_laughs_about_a_tensor_are_refused(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_zip(laughs(tensor()), STORAGE))
    with pytest.raises(BadCheckpoint, match="lists the same tensors under endless names"):
        open_checkpoint(tmp_path / "a.pt")


def test_endless_walks_past_a_few_tensors_are_refused(tmp_path):
    """A long list with one tensor in it, a thousand times: few names, many steps."""
    long = b"](" + b"N" * 3000 + tensor() + b"eq\x00"
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(long, b"0](", b"h\x00" * 1000, b"e"), STORAGE))
    with pytest.raises(BadCheckpoint, match="refers to its own parts over and over"):
        open_checkpoint(tmp_path / "a.pt")


def test_a_list_that_contains_itself_is_read_once(tmp_path):
    program = pickled(b"]q\x00", b"h\x00a", tensor(), b"a")
    (tmp_path / "a.pt").write_bytes(torch_zip(program, STORAGE))
    assert list(read_all(tmp_path / "a.pt")) == ["1"]


def test_keys_that_would_collide_in_a_dict_cost_nothing(tmp_path):
    """Python's integers hash to themselves modulo 2^61 - 1; a dict of such keys would take minutes."""
    pairs = b"".join(integer(i * (2**61 - 1)) + b"N" for i in range(100_000))
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(b"}(", pairs, b"u", text("w"), tensor(), b"s"), STORAGE))
    assert list(read_all(tmp_path / "a.pt")) == ["w"]


def test_keys_of_any_kind_name_their_tensors(tmp_path):
    program = b"}" + b"".join(key + tensor() + b"s" for key in (b"K\7", b"N", b"\x88", b"C\1a", name("torch.float32")))
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(program, tuple_of(tensor()) + tensor() + b"s"), STORAGE))
    found = read_all(tmp_path / "a.pt")
    assert list(found) == ["7", "None", "True", "b'a'", "torch.float32", "key5.0", "key5"]


def test_of_two_tensors_with_one_path_the_second_is_reported(tmp_path):
    program = pickled(dict_of(**{"a.b": tensor(), "a": dict_of(b=tensor((2,)))}))
    (tmp_path / "a.pt").write_bytes(torch_zip(program, STORAGE))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert ckpt["a.b"].shape == (4,)
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("a.b", "another tensor of the file has this name too")
        ]


def test_what_python_2_wrote_is_read(tmp_path):
    """Its texts were bytes, and it gave an OrderedDict its keys and values in a list of lists."""
    pair = b"](U\2fc" + tensor() + b"e"
    state = called(name("collections.OrderedDict"), b"](" + pair + b"](T\1\0\0\0\xff" + tensor() + b"ee")
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(state), STORAGE))
    assert list(read_all(tmp_path / "a.pt")) == ["fc", r"b'\xff'"]


def tensor_with(**attributes):
    """A plain tensor on which tensors were set as attributes."""
    rebuild = name("torch._utils._rebuild_tensor_v2")
    arguments = tensor().removeprefix(rebuild).removesuffix(b"R")
    parts = (rebuild, name("torch.Tensor"), arguments, dict_of(**attributes))
    return called(name("torch._tensor._rebuild_from_type_v2"), *parts)


def test_tensors_set_on_tensors_are_read_too(tmp_path):
    hooks, outer = called(name("collections.OrderedDict")), dict_of(outer=tensor())
    rebuild = name("torch._utils._rebuild_parameter_with_state")
    parameter = called(rebuild, tensor_with(inner=tensor()), b"\x88", hooks, outer)
    state = dict_of(p=parameter, t=tensor_with(first=tensor_with(second=tensor())))
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(state), {"0": bytes(16)}))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert set(ckpt) == {"p", "p.outer", "p.0.inner", "t", "t.first", "t.first.second"}
        assert not ckpt.skipped
