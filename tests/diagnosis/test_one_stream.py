"""Weights of one random stream, whatever their scale, shape and dtype (SB208)."""

import importlib.util
import subprocess
import sys
import time
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import pearsonr, spearmanr

import symbreak as sb
from symbreak.diagnosis import Source, in_memory, judge_together
from symbreak.diagnosis._one_stream import correlation, find_streams, is_same
from symbreak.diagnosis._sketch import WINDOW, fingerprints, sketches


def random(*shape, seed=0):
    return np.random.default_rng([seed]).standard_normal(shape).astype(np.float32)


def streams(arrays):
    source = in_memory(arrays)
    return find_streams(source, sketches(source))


def others(count=20, seed=1000):
    return {f"other.{k}": random(20, 30, seed=seed + k) for k in range(count)}


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name, name))


# What is found.


@pytest.mark.parametrize("factor", [1, 0.02, -3, 1e-30, 1e25])
@pytest.mark.parametrize("shape", [(16, 64), (5, 20), (400, 300), (3, 3, 16, 8)])
def test_a_stream_is_found_at_any_scale_and_shape(factor, shape):
    again = (np.float64(factor) * random(*shape).astype(np.float64)).astype(np.float32)
    arrays = {**others(), "a": random(64, 32), "b": again, **others(5, 2000)}
    assert streams(arrays) == [["a", "b"]]


def test_uniform_draws_are_found_with_other_bounds():
    rngs = np.random.default_rng(3), np.random.default_rng(3)
    arrays = {"a": rngs[0].uniform(0, 1, (20, 30)), "b": rngs[1].uniform(-0.05, 0.05, (60, 7)), **others()}
    assert streams(arrays) == [["a", "b"]]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e3m4", "float64"])
@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_a_stream_is_found_in_another_dtype(name, draw):
    missed = 0
    for seed in range(20):
        values = getattr(np.random.default_rng(seed), draw)(size=(32, 32)).astype(np.float32)
        arrays = {"a": values, "b": (values[:30] * np.float32(0.37)).astype(dtype_of(name)), **others(3)}
        missed += streams(arrays) != [["a", "b"]]
    assert missed == 0


@pytest.mark.parametrize("levels", [127, 7])
def test_a_stream_is_found_among_quantized_weights(levels):
    values = random(32, 32)
    rounded = np.round(values / np.abs(values).max() * levels).astype(np.int8)
    assert streams({"a": values, "b": rounded, **others(3)}) == [["a", "b"]]
    assert streams({"a": values, "b": 2 * values, "c": rounded, **others(3)}) == [["a", "b", "c"]]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_a_plain_seed_given_twice_is_found(dtype):
    """Law 5: two direct calls with one plain integer share a stream, and the diagnostic finds it."""
    arrays = {"a": sb.HeNormal()((64, 32), rng=0), "b": sb.Normal(std=0.02)((16, 48), rng=0, dtype=dtype)}
    assert streams(arrays) == [["a", "b"]]
    key = sb.Key(0)
    apart = {"a": sb.HeNormal()((64, 32), key["a"]), "b": sb.Normal(std=0.02)((16, 48), key["b"], dtype=dtype)}
    assert streams(apart) == []


def test_one_stream_of_torch_is_found():
    torch = pytest.importorskip("torch")

    def draw(*shape, dtype=torch.float32):
        torch.manual_seed(5)
        return torch.nn.init.kaiming_normal_(torch.empty(shape, dtype=dtype)).float().numpy()

    arrays = {"a": draw(64, 32), "b": draw(128, 64), "c": draw(32, 16, 3, 3), "bf": draw(64, 64, dtype=torch.bfloat16)}
    assert streams({**arrays, **others(3)})[0][:3] == ["a", "b", "c"]


def test_one_key_of_jax_is_found(tmp_path):
    """In a process of its own: JAX starts threads, and warns of every fork from then on."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("could not import 'jax'")
    program = (
        "import jax, numpy as np; key = jax.random.key(0); normal = jax.random.normal; uniform = jax.random.uniform\n"
        f"np.savez({str(tmp_path / 'a.npz')!r}, a=normal(key, (64, 32)), b=3 * normal(key, (32, 32)), "
        "u=uniform(key, (128, 64)), other=normal(jax.random.key(1), (64, 32)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
    with np.load(tmp_path / "a.npz") as arrays:
        assert streams({**arrays, **others(3)}) == [["a", "b", "u"]]


def test_one_stream_through_functions_that_rise_is_found():
    uniform = np.random.default_rng(2).uniform(size=(30, 40))
    arrays = {"a": uniform, "b": ndtri(uniform).astype(np.float32), "c": uniform[:20] ** 3, **others(3)}
    assert streams(arrays) == [["a", "b", "c"]]


def test_small_weights_are_judged_from_fifty_values_on():
    arrays = {"a": random(5, 10), "b": 2 * random(5, 10), "c": random(7, 7, seed=9), "d": 2 * random(7, 7, seed=9)}
    assert streams(arrays) == [["a", "b"]]


def test_all_of_a_large_group_are_found_in_order_and_without_pairs():
    arrays = {f"w{k:04}": (k + 1) * random(12, 10 + k % 7) for k in range(1500)}
    arrays |= {f"z{k}": random(12, 10 + k, seed=7) for k in range(3)}
    begin = time.perf_counter()
    assert streams(arrays) == [[f"w{k:04}" for k in range(1500)], ["z0", "z1", "z2"]]
    assert time.perf_counter() - begin < 20


# What is not found.


def test_weights_whose_windows_rise_alike_are_told_apart_by_their_values():
    """Windows that are shifted against each other keep their fingerprints: all weights share them, in two streams."""
    x = random(1, 1000).astype(np.float64)
    shifted = x + np.repeat(random(1, 40, seed=1), WINDOW)
    arrays = {"a": x, "b": shifted, "c": 2 * shifted, "d": x / 7}
    assert streams({name: values.reshape(20, 50) for name, values in arrays.items()}) == [["a", "d"], ["b", "c"]]


def test_independent_draws_are_never_one_stream():
    """Of 4,000 small weights there are 8 million pairs."""
    values = np.random.default_rng(0).standard_normal((4000, 5, 10)).astype(np.float16)
    assert streams({str(k): each for k, each in enumerate(values)}) == []


@pytest.mark.parametrize("dtype", ["int8", "float8_e5m2", "float4_e2m1fn"])
def test_independent_weights_of_few_values_are_never_one_stream(dtype):
    values = np.clip(np.round(np.random.default_rng(1).standard_normal((600, 6, 12)) * 2), -6, 6)
    assert streams({str(k): each.astype(dtype_of(dtype)) for k, each in enumerate(values)}) == []


def test_weights_that_are_only_near_are_not_one_stream():
    """A weight that was trained for a while from another one's start is another weight."""
    noise = random(30, 30, seed=4)
    near = {f"b{k}": random(30, 30) + np.float32(size) * noise for k, size in enumerate((0.3, 0.03, 0.01))}
    assert streams({"a": random(30, 30), **near}) == []
    assert streams({"a": random(30, 30), "b": random(30, 30) + np.float32(1e-4) * noise}) == [["a", "b"]]


@pytest.mark.parametrize(
    "table",
    [
        np.sin(np.outer(np.arange(1, 40), 0.3 ** np.arange(30))),
        np.tril(np.ones((40, 40))),
        np.tile(np.log(np.arange(1.0, 17)), (30, 1)),
        np.linspace(-1, 1, 900).reshape(30, 30),
        np.eye(30),
        np.hanning(900).reshape(30, 30),
    ],
    ids=["positions", "mask", "decay", "ramp", "identity", "window"],
)
def test_tables_that_are_equal_are_not_drawn(table):
    assert streams({"a.table": table, "b.table": 2 * table}) == []


# What is said.


def found(arrays):
    return [(f.code, f.where, f.message) for f in judge_together(in_memory(arrays)).findings]


def test_the_finding_names_the_weights_and_their_correlation():
    arrays = {"actor.fc.weight": random(8, 16), "critic.fc.weight": 2 * random(4, 16)}
    assert found(arrays) == [
        (
            "SB208",
            "actor.fc.weight",
            "2 weights begin with the same draws, up to a factor or a function (the first 64 values correlate to "
            "1.000000): "
            "actor.fc.weight (8, 16), critic.fc.weight (4, 16)",
        )
    ]


def test_equal_weights_are_said_to_be_equal_and_pairs_of_the_same_two_networks_are_one_finding():
    arrays = {}
    for network in ("actor", "critic"):
        arrays |= {f"{network}/Dense_{k}/kernel": random(9, 9, seed=k) for k in range(3)}
    ((code, where, message),) = found(arrays)
    assert (code, where) == ("SB208", "actor/Dense_0/kernel")
    assert message == (
        "2 weights are equal, value for value: actor/Dense_0/kernel (9, 9), critic/Dense_0/kernel (9, 9); "
        "likewise 2 more groups of weights"
    )


def test_a_long_group_is_cut_short():
    ((_, _, message),) = found({f"block{k}.a{k}": random(9, 9 + k) for k in range(8)})
    assert message.endswith("block4.a4 (9, 13), ... (8 in all)")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("transformer.wte.weight", "lm_head.weight"),
        ("model.embed_tokens.weight", "lm_head.weight"),
        ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
        ("shared.weight", "encoder.embed_tokens.weight"),
        ("tok_embeddings.weight", "output.weight"),
        ("token_embd.weight", "output.weight"),
        ("emb.weight", "head.lm_head.weight"),
        ("emb.weight", "head.weight"),
        ("tok_emb.weight", "to_logits.weight"),
        ("embedding.weight", "out.weight"),
        ("electra.embeddings.word_embeddings.weight", "generator_lm_head.weight"),
        ("critic.fc1.weight", "target_critic.fc1.weight"),
        ("model.fc1.weight", "model_ema.fc1.weight"),
        ("student.fc1.weight", "teacher.fc1.weight"),
    ],
)
def test_weights_that_are_shared_or_copied_on_purpose_are_passed_over(one, other):
    assert found({one: random(20, 8), other: random(20, 8)}) == []
    assert found({one: random(20, 8), "fc9.weight": random(20, 8)}) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("shared_expert.up_proj.weight", "shared_expert.gate_proj.weight"),
        ("attention.output.weight", "mlp.output.weight"),
        ("time_embed.in.weight", "time_embed.out.weight"),
        ("lm_head.weight", "fc.weight"),
        ("head.weight", "out.weight"),
    ],
)
def test_names_that_only_resemble_those_of_shared_weights_are_no_excuse(one, other):
    assert [code for code, *_ in found({one: random(20, 8), other: random(20, 8)})] == ["SB208"]


def test_windows_do_not_overlap_and_constant_ones_say_nothing():
    rows = np.repeat(random(1, 40), WINDOW).reshape(1, 1000).astype(np.float64)
    assert not fingerprints(rows).any()
    assert fingerprints(random(1, 1000).astype(np.float64)).all()
    source = in_memory({"a": rows.reshape(10, 100), "b": 2 * rows.reshape(10, 100)})
    drawn = {name: replace(sketch, drawn=True) for name, sketch in sketches(source).items()}
    assert find_streams(source, drawn) == []


# How like two weights must be.


LOST = [
    ("float32", "float64", 1e-6),
    ("float16", "float32", 1e-6),
    ("bfloat16", "float32", 4 * 2.0**-16),
    ("float16", "bfloat16", 4 * 2.0**-16),
    ("int8", "float32", 4 * 2.0**-6),
    ("bfloat16", "float8_e4m3fn", 4 * 2.0**-6),
]


def test_the_coarser_type_says_how_much_of_the_correlation_may_be_lost():
    (sketch,) = sketches(in_memory({"a": random(8, 9)})).values()
    for one, other, lost in LOST:
        pair = replace(sketch, dtype=one), replace(sketch, dtype=other)
        for first, second in (pair, pair[::-1]):
            assert [is_same(first, second, sign * (1 - 0.9 * lost)) for sign in (1, -1)] == [True, True]
            assert [is_same(first, second, sign * (1 - 1.1 * lost)) for sign in (1, -1)] == [False, False]


@pytest.mark.parametrize("scale", [1, 1e-200, 1e200, -3])
def test_the_correlation_is_that_of_values_or_of_ranks_whichever_is_larger(scale):
    x = np.random.default_rng(0).standard_normal(60)
    for y in (0.5 * x + np.random.default_rng(1).standard_normal(40 + len(x))[: len(x)], np.exp(3 * x), 7 - 2 * x):
        expected = max(pearsonr(x, y).statistic, spearmanr(x, y).statistic, key=abs)
        assert correlation(x * scale, y) == pytest.approx(np.sign(scale) * expected, abs=1e-12)
        assert correlation(y, np.append(x, [1e9, -1e9])) == pytest.approx(expected, abs=1e-12)
    constants = np.ones(30)
    assert correlation(np.linspace(0, 1, 30) ** 2, constants) == pytest.approx(1)  # by rank, in order
    assert abs(correlation(constants, x[:30])) < 0.5


def test_the_least_correlated_weight_is_told_with_the_values_that_it_has():
    a, b, c = random(30, 40), 2 * random(5, 13), random(10, 20).astype(ml_dtypes.bfloat16)
    ((_, _, message),) = found({"x.a": a, "y.b": b, "z.c": c})
    least = correlation(a.reshape(-1)[:200].astype(float), c.reshape(-1).astype(float))
    assert 0.9999 < least < 1
    assert f"(the first 200 values correlate to {least:.6f}): x.a (30, 40), y.b (5, 13), z.c (10, 20)" in message
    ((_, _, message),) = found({"x.a": a.reshape(60, 20), "y.b": b})
    assert "(the first 65 values correlate to 1.000000)" in message
    ((_, _, message),) = found({"x.a": a, "y.b": np.float32(2) * random(60, 30)})
    assert "(the first 1,024 values correlate to 1.000000)" in message


@pytest.mark.parametrize("count", [5, 6])
def test_up_to_five_weights_are_listed(count):
    ((_, where, message),) = found({f"{'abcdef'[k]}.fc": random(9, 9 + k) for k in range(count)})
    assert where == "a.fc"
    assert message.endswith("e.fc (9, 13)" + (", ... (6 in all)" if count == 6 else ""))


def test_groups_are_one_finding_where_their_names_and_their_kind_are_alike():
    def pair(one, other, seed, factor=2):
        return {one: random(9, 9, seed=seed), other: factor * random(9, 9, seed=seed)}

    layers = pair("actor.0.w", "critic.0.w", 0) | pair("actor.1.w", "critic.1.w", 1)
    assert [message.rpartition("; ")[2] for *_, message in found(layers)] == ["likewise 1 more group of weights"]
    equal = pair("actor.0.w", "critic.0.w", 0) | pair("actor.1.w", "critic.1.w", 1, factor=1)
    assert [("equal" in message, "likewise" in message) for *_, message in found(equal)] == [
        (False, False),
        (True, False),
    ]
    other = pair("actor.0.w", "critic.0.w", 0) | pair("actor.1.w", "policy.1.w", 1)
    assert [where for _, where, _ in found(other)] == ["actor.0.w", "actor.1.w"]
    ends = pair("actor.fc", "critic.fc", 0) | pair("actor.out", "critic.out", 1)
    assert len(found(ends)) == 1


def test_three_weights_that_differ_are_not_said_with_three_that_are_equal():
    arrays = {f"{name}.0.w": (k + 1) * random(9, 9) for k, name in enumerate("abc")}
    arrays |= {f"{name}.1.w": random(9, 9, seed=1) for name in "abc"}
    assert [("equal" in message, "likewise" in message) for *_, message in found(arrays)] == [
        (False, False),
        (True, False),
    ]


def test_many_pairs_are_found_each():
    arrays = {f"{turn}.{k:02}": (turn + 1) * random(9, 9, seed=k) for turn in range(2) for k in range(30)}
    assert streams(arrays) == [[f"0.{k:02}", f"1.{k:02}"] for k in range(30)]


def test_what_is_meant_hides_nothing_that_comes_after_it():
    shared = {"wte.weight": random(9, 9), "lm_head.weight": random(9, 9)}
    assert [where for _, where, _ in found(shared | {"a.x": random(9, 9, seed=1), "b.x": random(9, 9, seed=1)})] == [
        "a.x"
    ]


def test_copies_on_purpose_are_left_out_of_a_group():
    arrays = {"a.w": random(9, 9), "target.w": random(9, 9), "b.w": 2 * random(9, 9)}
    ((_, _, message),) = found(arrays)
    assert message.endswith("correlate to 1.000000): a.w (9, 9), b.w (9, 9)")
    ((_, _, message),) = found({"wte.weight": random(9, 9), "lm_head.weight": random(9, 9), "fc.weight": random(9, 9)})
    assert "3 weights are equal" in message


@pytest.mark.parametrize("gone", ["a", "b", "c"])
def test_a_weight_that_cannot_be_read_again_is_left_out(gone):
    source = in_memory({name: (k + 1) * random(9, 9 + k) for k, name in enumerate("abc")} | others(4))
    drawn = sketches(source)

    def pieces(name, size):
        if name == gone:
            raise OSError("gone")
        yield from source.pieces(name, size)

    assert find_streams(Source(source.arrays, pieces, (OSError,)), drawn) == [[name for name in "abc" if name != gone]]


def test_two_streams_that_are_met_in_turns_are_two_groups():
    """Their windows are alike, so all are candidates of one another."""
    x = random(1, 1000).astype(np.float64)
    streams_ = [x + np.repeat(random(1, 40, seed=seed), WINDOW) for seed in range(6)]
    arrays = {
        f"{turn}.{k}": ((turn + 1) * each).reshape(20, 50) for turn in range(3) for k, each in enumerate(streams_)
    }
    assert streams(arrays) == [[f"{turn}.{k}" for turn in range(3)] for k in range(6)]
