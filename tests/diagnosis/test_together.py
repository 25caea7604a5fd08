"""Arrays that are equal, and the layers, experts and heads that they belong to; and weights of zeros."""

import numpy as np
import pytest

import symbreak as sb
from symbreak.diagnosis import Source, _later, in_memory, judge_together
from symbreak.diagnosis import _identical as identical
from symbreak.diagnosis._identical import find_identical
from symbreak.diagnosis._sketch import first_values, looks_drawn, sketches
from symbreak.findings import Level


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def layers(count, container="layers.", same=(), seed=0):
    """Make layers of two weights, a bias and a norm; those numbered in `same` are equal."""
    arrays = {}
    for number in range(count):
        own = seed + (same[0] if number in same else number)
        arrays |= {
            f"{container}{number}.fc1.weight": random(12, 8, seed=own),
            f"{container}{number}.fc1.bias": random(12, seed=own),
            f"{container}{number}.fc2.weight": random(8, 12, seed=own),
            f"{container}{number}.norm.weight": np.ones(8, np.float32),
        }
    return arrays


def together(arrays):
    return judge_together(in_memory(arrays)).findings


def codes(arrays):
    return [(finding.code, finding.where, finding.groups) for finding in together(arrays)]


# Blocks that are named alike but for a number.


def test_identical_layers_are_found_and_named():
    (finding,) = together(layers(6, same=(1, 3, 4)))
    assert (finding.code, finding.where, finding.groups) == ("SB204", "layers.*", ((1, 3, 4),))
    assert finding.message == "3 blocks are identical, value for value (4 arrays each): layers.1, layers.3, layers.4"
    assert codes(layers(6)) == []


def test_several_classes_are_one_finding():
    arrays = layers(6, same=(1, 3))
    arrays |= {name.replace(".0.", ".5."): array for name, array in arrays.items() if ".0." in name}
    (finding,) = together(arrays)
    assert finding.groups == ((0, 5), (1, 3))
    assert "4 blocks form 2 classes of identical ones" in finding.message


@pytest.mark.parametrize("name", ["layers.3.fc1.weight", "layers.3.fc1.bias", "layers.3.norm.weight"])
def test_one_value_in_one_array_makes_blocks_different(name):
    arrays = layers(4, same=(1, 3))
    arrays[name] = arrays[name].copy()
    arrays[name].reshape(-1)[-1] += 1
    assert "SB204" not in [code for code, *_ in codes(arrays)]


@pytest.mark.parametrize("other", [lambda b: b[:, np.newaxis], lambda b: b.view(np.int32), lambda b: b[:0]])
def test_the_same_bytes_in_another_shape_or_type_make_blocks_different(other):
    arrays = layers(4, same=(1, 3))
    arrays["layers.3.fc1.bias"] = other(arrays["layers.3.fc1.bias"])
    assert "SB204" not in [code for code, *_ in codes(arrays)]


def test_an_array_more_makes_blocks_different():
    arrays = layers(4, same=(1, 3)) | {"layers.3.gate": np.ones(1)}
    assert "SB204" not in [code for code, *_ in codes(arrays)]


def test_another_name_makes_blocks_different():
    arrays = layers(4, same=(1, 3))
    arrays["layers.3.norm.scale"] = arrays.pop("layers.3.norm.weight")
    assert "SB204" not in [code for code, *_ in codes(arrays)]


def test_norms_biases_positions_and_masks_may_be_equal_in_every_block():
    table = np.sin(np.outer(np.arange(20), 0.1 ** np.arange(8)))
    fixed = {
        f"layers.{number}.{name}": array
        for number in range(4)
        for name, array in {
            "norm.weight": np.ones(8),
            "bias": np.zeros(8),
            "pe": table,
            "mask": np.tril(np.ones((16, 16))),
            "relative_position_index": np.arange(256).reshape(16, 16),
            "A_log": np.tile(np.log(np.arange(1.0, 17)), (8, 1)),
        }.items()
    }
    assert codes(fixed) == []


def test_optimizer_state_and_counters_do_not_make_blocks_different_or_alike():
    arrays = layers(3, same=(0, 2))
    for number in range(3):
        arrays[f"layers.{number}.norm.num_batches_tracked"] = np.int64(number)
        arrays[f"layers.{number}.fc1.weight.exp_avg"] = random(12, 8, seed=99)
    assert [code for code, *_ in codes(arrays)] == ["SB204"]
    assert [code for code, *_ in codes(dict(reversed(arrays.items())))] == ["SB204"]


@pytest.mark.parametrize(
    ("container", "code"),
    [
        ("encoder.layers.", "SB204"),
        ("h.", "SB204"),
        ("Dense_", "SB204"),
        ("layers.0.experts.", "SB206"),
        ("mlp/experts_", "SB206"),
        ("members.", "SB206"),
        ("critic", "SB206"),
        ("q", "SB206"),
        ("qf", "SB206"),
        ("critic.", "SB204"),
        ("q.", "SB204"),
        ("model.", "SB204"),
        ("models.", "SB206"),
        ("sa.heads.", "SB205"),
    ],
)
def test_the_container_tells_layers_from_experts_and_heads(container, code):
    (finding,) = together(layers(3, container, same=(0, 1)))
    assert (finding.code, finding.where, finding.groups) == (code, f"{container}*", ((0, 1),))


@pytest.mark.parametrize("layer", ["model/dense", "model/conv2d", "d"])
def test_what_keras_leaves_unnumbered_is_the_first_of_its_kind(layer):
    w = random(8, 8)
    arrays = {f"{layer}/kernel:0": w, f"{layer}_1/kernel:0": w, f"{layer}_2/kernel:0": random(8, 8, seed=1)}
    (finding,) = together(arrays)
    assert (finding.code, finding.where, finding.groups) == ("SB204", f"{layer}_*", ((0, 1),))


def test_the_same_in_many_places_is_said_once():
    arrays = {}
    for layer in range(5):
        arrays |= layers(3, f"layers.{layer}.experts.", same=(0, 2), seed=100 * layer)
    (finding,) = together(arrays)
    assert (finding.code, finding.where) == ("SB206", "layers.0.experts.*")
    assert finding.message.endswith("; likewise in 4 more places")


def test_a_long_class_is_cut_short_and_names_are_made_visible():
    (finding,) = together(layers(30, "la\x1byers.", same=range(30)))
    assert r"la\x1byers.0, la\x1byers.1, la\x1byers.2, la\x1byers.3, ..., la\x1byers.29" in finding.message
    assert finding.groups == (tuple(range(30)),)


def test_weights_of_one_layer_that_are_numbered_are_no_layers():
    w = random(12, 8)
    assert [code for code, *_ in codes({"mlp.w1": w, "mlp.w2": w})] == ["SB208"]
    assert [code for code, *_ in codes({"mlp.0": w, "mlp.1": w})] == ["SB204"]


def test_layers_that_are_found_identical_are_not_found_again_as_one_stream():
    arrays = layers(3, same=(0, 1, 2))
    assert [code for code, *_ in codes(arrays)] == ["SB204"]
    arrays["fc.weight"] = 3 * arrays["layers.0.fc1.weight"]
    assert [code for code, *_ in codes(arrays)] == ["SB204", "SB208"]


def test_heads_of_detr_that_are_shared_are_a_note():
    (finding,) = together(layers(3, "bbox_embed.", same=(0, 1, 2)))
    assert (finding.code, finding.level) == ("SB202", Level.NOTE)


def test_target_networks_and_averages_are_equal_on_purpose():
    arrays = layers(2, "critic_", same=(0,)) | layers(2, "target_critic_", same=(0,)) | layers(2, "ema.critic_")
    assert codes(arrays) == []


def test_twin_critics_that_are_equal_are_found_and_their_targets_not_again():
    arrays = layers(2, "critic_", same=(0, 1)) | layers(2, "target_critic_", same=(0, 1))
    assert [(code, where) for code, where, _ in codes(arrays)] == [("SB206", "critic_*")]


def test_blocks_are_told_apart_by_what_is_small_in_them():
    """Four blocks of one weight, whose biases are equal in pairs."""
    arrays = layers(4, same=(0, 1, 2, 3))
    for number in (2, 3):
        arrays[f"layers.{number}.fc1.bias"] = random(12, seed=9)
    finding, other = together(arrays)
    assert (other.code, other.where) == ("SB208", "layers.0.fc1.weight")
    assert other.message == (
        "2 weights are equal, value for value: layers.0.fc1.weight (12, 8), layers.2.fc1.weight (12, 8); "
        "likewise 1 more group of weights"
    )
    assert finding.groups == ((0, 1), (2, 3))
    assert finding.message == (
        "4 blocks form 2 classes of identical ones, value for value (4 arrays each): "
        "layers.0, layers.1; layers.2, layers.3"
    )
    arrays["layers.3.fc1.bias"] = random(12, seed=10)
    (finding, *_) = together(arrays)
    assert (finding.code, finding.groups) == ("SB204", ((0, 1),))


def test_a_weight_without_a_twin_makes_blocks_different():
    w = random(12, 8)
    arrays = {"layers.0.a": w, "layers.1.a": w, "layers.0.b": random(9, 8, seed=1), "layers.1.b": random(9, 8, seed=2)}
    assert [(code, where) for code, where, _ in codes(arrays)] == [("SB208", "layers.0.a")]
    arrays["layers.1.b"] = arrays["layers.0.b"]
    assert codes(arrays) == [("SB204", "layers.*", ((0, 1),))]
    arrays |= {f"layers.{number}.b": np.ones((9, 8)) for number in (0, 1)}  # one that is drawn is enough
    assert codes(arrays) == [("SB204", "layers.*", ((0, 1),))]


@pytest.mark.parametrize("count", [2, 5, 6])
def test_up_to_five_blocks_and_classes_are_listed(count):
    (finding,) = together(layers(count, same=range(count)))
    listed = (
        [f"layers.{k}" for k in range(count)] if count < 6 else [*(f"layers.{k}" for k in range(4)), "...", "layers.5"]
    )
    assert finding.message.endswith(f"(4 arrays each): {', '.join(listed)}")
    twice = {f"layers.{2 * k + j}.w": random(8, 8, seed=k) for k in range(count) for j in (0, 1)}
    (finding,) = together(twice)
    pairs = [f"layers.{2 * k}, layers.{2 * k + 1}" for k in range(min(count, 5))]
    assert finding.message.endswith(f"(1 array each): {'; '.join(pairs)}{'; ...' if count > 5 else ''}")
    assert finding.groups == tuple((2 * k, 2 * k + 1) for k in range(count))


def test_only_what_is_identical_alike_is_likewise():
    arrays = layers(3, "a.0.experts.", same=(0, 2)) | layers(3, "a.1.experts.", same=(0, 2), seed=10)
    assert together(arrays)[0].message.endswith("a.0.experts.0, a.0.experts.2; likewise in 1 more place")
    other = layers(3, "a.0.experts.", same=(0, 2)) | layers(3, "a.1.experts.", same=(1, 2), seed=10)
    assert [(where, groups) for _, where, groups in codes(other)] == [
        ("a.0.experts.*", ((0, 2),)),
        ("a.1.experts.*", ((1, 2),)),
    ]
    fewer = layers(3, "a.1.experts.", same=(0, 2), seed=10)
    fewer = {name: array for name, array in fewer.items() if "norm" not in name}
    assert len(together(layers(3, "a.0.experts.", same=(0, 2)) | fewer)) == 2


@pytest.mark.parametrize("container", ["heads.", "head.", "attn_heads.", "a/attention_heads_", "Head_"])
def test_heads_are_known_by_the_last_part_of_their_name(container):
    (finding,) = together(layers(2, container, same=(0, 1)))
    expected = "SB204" if "/" in container else "SB205"
    assert (finding.code, finding.where) == (expected, f"{container}*")


@pytest.mark.parametrize("numbers", [("", "_1"), ("", "_1", "_2")])
def test_layers_of_keras_are_compared_with_all_their_arrays(numbers):
    arrays = {}
    for number in numbers:
        arrays |= {f"net/dense{number}/kernel": random(8, 9), f"net/dense{number}/bias": random(9, seed=1)}
    arrays |= {"net/conv/kernel": random(8, 9, seed=2), "dense_5/kernel": random(8, 9, seed=3)}
    (finding,) = together(arrays)
    assert (finding.where, finding.groups) == ("net/dense_*", (tuple(range(len(numbers))),))
    listed = ", ".join(f"net/dense{number}" for number in numbers)
    assert finding.message.endswith(f"blocks are identical, value for value (2 arrays each): {listed}")
    arrays["net/dense/bias"] = random(9, seed=4)
    codes_ = [code for code, *_ in codes(arrays)]
    assert ("SB204" in codes_) == (len(numbers) > 2)


def test_a_bias_that_cannot_be_read_leaves_its_block_out():
    arrays = layers(4, same=(0, 1, 2))

    def pieces(name, size):
        if name == "layers.1.fc1.bias":
            raise OSError("gone")
        yield from in_memory(arrays).pieces(name, size)

    findings = judge_together(Source(in_memory(arrays).arrays, pieces, (OSError,))).findings
    assert [(finding.code, finding.groups) for finding in findings if finding.code == "SB204"] == [("SB204", ((0, 2),))]


def test_a_block_that_equals_what_is_no_block_hides_no_others():
    v, w = random(12, 8), random(12, 8, seed=1)
    arrays = {"fc": v, "layers.0.w": v, "layers.1.w": w, "layers.2.w": w}
    assert codes(arrays)[0] == ("SB204", "layers.*", ((1, 2),))


def test_findings_are_placed_as_told():
    findings = judge_together(in_memory(layers(2, same=(0, 1))), "file: {}".format).findings
    assert [finding.where for finding in findings] == ["file: layers.*"]


# Which arrays are equal.


@pytest.mark.parametrize("size", [1, 100, 4096, 1 << 22])
@pytest.mark.parametrize("count", [2, 4, 5, 9])
def test_arrays_are_equal_to_the_last_piece_whatever_their_number(size, count):
    """Pairs of equal arrays that differ from the next pair in their last value, or in one in the middle."""
    arrays = {}
    for number in range(count):
        w = random(40, 50)
        w[-1 if number % 2 else 30, -1] = 5 + number
        arrays |= {f"a{number}": w, f"b{number}": w.copy()}
    source = in_memory(arrays)
    cut = Source(source.arrays, lambda name, _: source.pieces(name, size))
    expected = {f"{letter}{number}": f"a{number}" for number in range(count) for letter in "ab"}
    assert find_identical(cut, sketches(source)) == expected


@pytest.mark.parametrize("short", ["a", "b"])
def test_an_array_that_ends_early_equals_no_other(short):
    w = random(40, 50)
    source = in_memory({"a": w, "b": w.copy()})

    def pieces(name, _):
        yield from [w[:30], w[30:]][: 1 if name == short else 2]

    assert find_identical(Source(source.arrays, pieces), sketches(source)) == {}
    assert find_identical(source, sketches(source)) == {"a": "a", "b": "a"}


def test_arrays_of_other_shapes_and_types_are_not_equal_and_constants_are():
    zeros = {"a": np.zeros((4, 6)), "b": np.zeros((6, 4)), "c": np.zeros((4, 6), np.float32), "d": np.zeros((4, 6))}
    source = in_memory(zeros)
    assert find_identical(source, sketches(source)) == {"a": "a", "d": "a"}
    assert codes({f"layers.{number}.w": np.ones((4, 6)) for number in range(3)}) == []


def test_arrays_are_compared_to_their_last_byte_and_in_every_dtype():
    w = random(300, 20)
    arrays = {"a": w, "b": w.copy(), "c": w.copy(), "d": w.astype(np.float64), "e": w.reshape(20, 300), "f": w.copy()}
    arrays["c"][-1, -1] += 1e-6
    source = in_memory(arrays)
    assert find_identical(source, sketches(source)) == {"a": "a", "b": "a", "f": "a"}


def test_where_arrays_lie_in_memory_does_not_matter():
    w = random(30, 20)
    room = np.zeros(w.nbytes + 1, np.uint8)
    odd = room[1:].view(np.float32).reshape(w.shape)
    odd[:] = w
    wide = np.zeros((30, 41), np.float32)
    wide[:, :40:2] = w
    arrays = {"a": w, "b": odd, "c": wide[:, :40:2], "d": np.asfortranarray(w), "e": w.astype(">f4")}
    for name in arrays:  # whichever is the first
        source = in_memory({name: arrays[name]} | arrays)
        assert find_identical(source, sketches(source)) == dict.fromkeys(arrays, name)


def test_arrays_that_only_begin_alike_are_told_apart_however_many_there_are():
    arrays = {}
    for number in range(40):
        arrays[str(number)] = random(40, 50)
        arrays[str(number)][-1, -1] = number // 2
    source = in_memory(arrays)
    found = find_identical(source, sketches(source))
    assert found == {str(number): str(number - number % 2) for number in range(40)}


def test_what_begins_alike_is_not_compared_in_pairs(monkeypatch):
    counts = []
    monkeypatch.setattr(identical, "_equal", lambda *_: counts.append(1) or False)
    arrays = {str(number): np.append(random(1100), float(number)).reshape(3, 367) for number in range(200)}
    source = in_memory(arrays)
    assert find_identical(source, sketches(source)) == {}
    assert len(counts) < 4 * 200


def test_little_is_read_of_arrays_that_differ(monkeypatch):
    """Beside one pass over the first values, in search of streams that begin further on."""
    monkeypatch.setattr(_later, "LIMIT", 1000)
    arrays = layers(50)
    read = []

    def pieces(name, size):
        for piece in in_memory(arrays).pieces(name, size):
            read.append(piece.nbytes)
            yield piece

    judge_together(Source(in_memory(arrays).arrays, pieces))
    large = {"a": random(2000, 100), "b": random(2000, 100, seed=1)}
    before = sum(read)

    def of_large(name, size):
        for piece in in_memory(large).pieces(name, size):
            read.append(piece.nbytes)
            yield piece

    judge_together(Source(in_memory(large).arrays, of_large))
    little = sum(read) - before
    assert little < 40_000
    assert before < 2 * 50 * 2 * 12 * 8 * 4
    monkeypatch.setattr(_later, "LIMIT", 1 << 22)
    judge_together(Source(in_memory(large).arrays, of_large))
    assert sum(read) - before - little < 30_000 + 2 * 2000 * 100 * 4


def test_what_cannot_be_read_is_left_out():
    arrays = layers(4, same=(1, 3))

    def pieces(name, size):
        if name == "layers.0.fc1.weight":
            raise OSError("gone")
        yield from in_memory(arrays).pieces(name, size)

    report = judge_together(Source(in_memory(arrays).arrays, pieces, (OSError,)))
    assert [finding.code for finding in report.findings] == ["SB204"]
    with pytest.raises(OSError, match="gone"):
        judge_together(Source(in_memory(arrays).arrays, pieces))

    def torn(name, size):
        for piece in in_memory(arrays).pieces(name, size):
            yield piece
            if name == "layers.1.fc1.weight" and size > 10_000:
                raise OSError("gone")

    assert codes(arrays)[0][0] == "SB204"
    assert "SB204" not in [f.code for f in judge_together(Source(in_memory(arrays).arrays, torn, (OSError,))).findings]


@pytest.mark.parametrize("count", [16, 50, 200, 1000])
def test_draws_look_drawn_and_tables_do_not(count):
    rng = np.random.default_rng(count)
    drawn = [draw(size=(100, count)) for draw in (rng.normal, rng.uniform, rng.laplace)]
    assert looks_drawn(np.concatenate(drawn)).mean() > (0.9 if count < 20 else 0.9999)
    places = np.arange(count)
    tables = [places, np.sin(places / 3), np.tile(rng.normal(size=4), count)[:count], places % 2, np.ones(count)]
    tables += [np.where(places < 5, np.nan, rng.normal(size=count)), np.zeros(count), 0.99**places]
    assert not looks_drawn(np.stack(tables).astype(float)).any()


def test_the_scale_of_values_does_not_matter_to_whether_they_look_drawn():
    values = random(4, 300).astype(np.float64)
    scales = np.array([[1e-300], [1e300], [1e-30], [1.0]])
    assert looks_drawn(values * scales).all()


def test_first_values_come_in_order_from_any_layout():
    w = random(60, 40)
    for array in (w, np.asfortranarray(w), w[::-1], w[:, ::2], w[:, :, np.newaxis]):
        source = in_memory({"a": array})
        assert first_values(source, "a", 130).tolist() == array.reshape(-1)[:130].tolist()
    assert first_values(in_memory({"a": w}), "a", 10**6).size == w.size


# Zeros.


def pairs(first, second, count=3):
    names = ("layers.{}.q_proj.lora_A.default.weight", "layers.{}.q_proj.lora_B.default.weight")
    return {n.format(k): array for k in range(count) for n, array in zip(names, (first, second), strict=True)}


def test_a_low_rank_pair_of_zeros_is_blocked_and_one_with_a_drawn_factor_is_not():
    zero_a, zero_b = np.zeros((4, 16)), np.zeros((16, 4))
    (finding,) = together(pairs(zero_a, zero_b))
    assert (finding.code, finding.level) == ("SB203", Level.ERROR)
    assert finding.fix.startswith("draw one factor from a random initializer")
    assert "layers.0.q_proj.lora_A.default.weight and layers.0.q_proj.lora_B.default.weight" in finding.message
    assert finding.message.endswith("; likewise 2 more pairs")
    almost = zero_b.copy()
    almost[-1, -1] = 1e-30
    assert codes(pairs(zero_a, almost)) == []
    large = np.zeros((500, 4))
    large[-1, -1] = 1e-30  # behind what is looked at first
    assert codes(pairs(zero_a, large)) == []
    assert [code for code, *_ in codes(pairs(zero_a, np.zeros((500, 4))))] == ["SB203"]
    healthy = {name: random(4, 16, seed=k) if "_A" in name else zero_b for k, name in enumerate(pairs(zero_a, zero_b))}
    report = sb.diagnose(healthy)
    assert report.ok
    assert [finding.code for finding in report.findings] == ["SB202"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("q.lora_A.weight", "q.lora_B.weight"),
        ("q/lora_a", "q/lora_b"),
        ("dense/lora_kernel_a", "dense/lora_kernel_b"),
        ("emb.lora_embedding_A", "emb.lora_embedding_B"),
        ("unet_q.lora_down.weight", "unet_q.lora_up.weight"),
        ("to_q.lora.down.weight", "to_q.lora.up.weight"),
    ],
)
def test_factors_are_known_by_the_names_that_are_in_use(one, other):
    assert [code for code, *_ in codes({one: np.zeros((4, 16)), other: np.zeros((16, 4))})] == ["SB203"]


@pytest.mark.parametrize(
    "name",
    [
        "blocks.0.adaLN_modulation.1.weight",
        "head.weight",
        "controlnet_down_blocks.0.weight",
        "decoder.layers.0.encoder_attn.sampling_offsets.weight",
        "relative_position_bias_table",
        "vit.pos_embed",
    ],
)
def test_zeros_that_a_network_starts_with_are_noted_once_a_kind(name):
    zeros = {name: np.zeros((12, 8)), name.replace("0", "1") + "": np.zeros((12, 8)), "fc.weight": random(8, 8)}
    report = sb.diagnose(zeros)
    assert report.ok
    assert [finding.code for finding in report.findings] == ["SB202"]
    assert report.findings[0].fix == "nothing, if the weights before and behind it are not zero too"
    assert not sb.diagnose({"fc1.weight": np.zeros((12, 8))}).ok
    assert not sb.diagnose({name: np.ones((12, 8))}).ok


@pytest.mark.parametrize(("count", "also"), [(1, ""), (2, "; likewise 1 more pair"), (3, "; likewise 2 more pairs")])
def test_pairs_of_one_kind_are_counted(count, also):
    (finding,) = together(pairs(np.zeros((4, 16)), np.zeros((16, 4)), count))
    assert finding.where == "layers.0.q_proj.lora_A.default.weight"
    assert finding.message.endswith(f"layers.0.q_proj.lora_B.default.weight{also}")


@pytest.mark.parametrize(
    ("count", "also"), [(1, ""), (2, "; likewise 1 more weight"), (3, "; likewise 2 more weights")]
)
def test_zeros_of_one_kind_are_counted(count, also):
    (finding,) = together({f"blocks.{number}.adaLN_modulation.1.weight": np.zeros((12, 8)) for number in range(count)})
    assert (finding.code, finding.where) == ("SB202", "blocks.0.adaLN_modulation.1.weight")
    assert finding.message.endswith(f"the next step separates its units{also}")


def test_pairs_of_other_kinds_are_findings_of_their_own():
    arrays = pairs(np.zeros((4, 16)), np.zeros((16, 4)))
    arrays |= {name.replace("q_proj", "v_proj"): array for name, array in arrays.items()}
    assert [where for _, where, _ in codes(arrays)] == [
        "layers.0.q_proj.lora_A.default.weight",
        "layers.0.v_proj.lora_A.default.weight",
    ]


def test_factors_without_values_or_that_cannot_be_read_are_not_called_zero():
    arrays = {"q.lora_A.weight": np.zeros((0, 16)), "q.lora_B.weight": np.zeros((16, 0))}
    assert codes(arrays) == []
    arrays = {
        "q.lora_A.weight": np.zeros((4, 16)),
        "q.lora_B.weight": np.zeros((16, 4)),
        "head.weight": np.zeros((9, 8)),
    }

    def pieces(name, size):
        yield from in_memory(arrays).pieces(name, size)
        if name in gone:
            raise OSError("gone")

    source = Source(in_memory(arrays).arrays, pieces, (OSError,))
    for name, expected in ((None, ["SB203", "SB202"]), ("q.lora_B.weight", ["SB202"]), ("head.weight", ["SB203"])):
        gone = {name}
        assert [finding.code for finding in judge_together(source).findings] == expected
