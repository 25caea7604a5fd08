"""Keys: which of them are the same, what `rng` may be, and how the state follows from them."""

import copy
import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.streams import as_key
from symbreak.streams._key import draw_words

names = st.text(st.characters(exclude_categories=()), max_size=6)
paths = st.lists(names, max_size=4).map(tuple)
seeds = st.one_of(
    st.integers(0, 2**80), st.lists(st.integers(0, 300), min_size=1, max_size=3).map(tuple)
)  # ints and sequences must not meet either


def make(seed, path):
    key = sb.Key(seed)
    for name in path:
        key = key[name]
    return key


def state(key, lane="normal32"):
    return key.bit_generator(lane).state["state"]


@given(keys=st.lists(st.builds(make, seeds, paths), max_size=5), count=st.integers(1, 70))
def test_the_words_of_many_keys_are_those_of_each_one(keys, count):
    words = np.zeros((len(keys), count), np.uint64)
    draw_words(keys, "sign32", words)
    for row, key in zip(words, keys, strict=True):
        assert row.tolist() == key.bit_generator("sign32").random_raw(count).tolist()


@given(a=st.tuples(seeds, paths), b=st.tuples(seeds, paths))
def test_two_keys_share_a_stream_only_when_seed_and_path_are_equal(a, b):
    assert (state(make(*a)) == state(make(*b))) == (a == b)
    assert (make(*a) == make(*b)) == (a == b)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sb.Key(0)["ab"]["c"], sb.Key(0)["a"]["bc"]),
        (sb.Key(0)["a.b"], sb.Key(0)["a"]["b"]),
        (sb.Key(0)["a"], sb.Key(0)["a"][""]),
        (sb.Key(1), sb.Key([1])),
        (sb.Key([1, 2]), sb.Key([12])),
        (sb.Key(1)["2"], sb.Key(12)),
        (sb.Key(1)["2"], sb.Key([1, 2])),
    ],
)
def test_where_names_and_seeds_join_they_stay_apart(one, other):
    assert one != other
    assert state(one) != state(other)


def test_each_lane_has_words_of_its_own():
    lanes = ("uniform32", "uniform64", "normal32", "normal64", "truncated32", "truncated64", "sign32", "permutation")
    assert len({state(sb.Key(0), lane)["state"] for lane in lanes}) == len(lanes)


def test_the_state_is_blake2b_of_the_length_prefixed_parts():
    parts = [b"int", b"7", b"", b"fc1.weight", b"normal32"]
    text = b"1,1;" + b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    digest = hashlib.blake2b(text, digest_size=32, person=b"symbreak-v1").digest()
    expected = {
        "state": int.from_bytes(digest[:16], "little"),
        "inc": int.from_bytes(digest[16:], "little") | 1,
    }
    assert state(sb.Key(7)["fc1.weight"]) == expected


def test_the_state_of_one_key_is_what_it_has_always_been():
    assert state(sb.Key(0)["fc1.weight"]) == {
        "state": 86870221192397670572296982527426161133,
        "inc": 152179199744685699024619199260529047477,
    }


def test_keys_survive_pickle_copy_and_hash():
    key = sb.Key(2**70)["a"]["b"]
    for other in (pickle.loads(pickle.dumps(key)), copy.copy(key), copy.deepcopy(key)):
        assert other == key
        assert hash(other) == hash(key)
        assert state(other) == state(key)


def test_a_key_prints_as_the_expression_that_makes_it():
    key = sb.Key([1, 2])["enc"]["w"]
    assert repr(key) == "Key((1, 2))['enc']['w']"
    assert eval(repr(key), {"Key": sb.Key}) == key
    assert (key.seed, key.path) == ((1, 2), ("enc", "w"))


def test_a_key_can_not_be_changed():
    with pytest.raises(AttributeError, match="can't be changed; make another one"):
        sb.Key(0).seed = 1
    with pytest.raises(AttributeError, match="can't be changed; make another one"):
        del sb.Key(0)._seed


@pytest.mark.parametrize("seed", [0, np.int64(5), np.uint8(5), 2**200, [1, 2], (3,), range(3), np.array([4, 5])])
def test_integers_of_any_kind_are_seeds(seed):
    assert as_key(seed) == as_key(copy.copy(seed))


def test_none_gives_fresh_numbers_each_time():
    assert as_key(None) != as_key(None)


def test_a_seed_sequence_is_a_seed_and_is_left_as_it_was():
    sequence = np.random.SeedSequence(5)
    assert as_key(sequence) == as_key(sequence) == as_key(np.random.SeedSequence(5))
    assert as_key(sequence) != as_key(np.random.SeedSequence(6))
    assert as_key(sequence.spawn(1)[0]) != as_key(sequence)


def test_what_is_read_of_numpys_sources_is_eight_words():
    sequence = np.random.SeedSequence(7)
    assert as_key(sequence).seed == tuple(sequence.generate_state(8).tolist())
    assert as_key(np.random.PCG64(7)).seed == tuple(np.random.PCG64(7).random_raw(8).tolist())


def test_words_of_32_bits_begin_with_the_first_half_of_the_first_word():
    one, two = (sb.Key(0).bit_generator("normal32") for _ in range(2))
    halves = np.random.Generator(one).integers(0, 1 << 32, 2, np.uint32)
    word = int(two.random_raw())
    assert halves.tolist() == [word & 0xFFFFFFFF, word >> 32]


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_generator_gives_other_numbers_at_each_call_and_the_same_from_the_same_state(bits):
    first, second = bits(1), np.random.Generator(bits(1))
    a, b = as_key(first), as_key(first)
    assert a != b
    assert (as_key(second), as_key(second)) == (a, b)


@pytest.mark.parametrize(
    ("rng", "error", "message"),
    [
        (-1, ValueError, "a seed is a non-negative integer; got -1"),
        ([3, -2], ValueError, "a seed is a non-negative integer; got -2"),
        ([], ValueError, "a sequence of seeds needs at least one integer"),
        (True, TypeError, "a seed is a non-negative integer; got True"),
        (1.5, TypeError, "rng takes a Key, None, an integer or integers.*got 1.5"),
        ("zero", TypeError, "rng takes a Key.*got 'zero'"),
        (np.random.RandomState(0), TypeError, r"pass np.random.default_rng\(seed\)"),
    ],
)
def test_anything_else_is_refused(rng, error, message):
    with pytest.raises(error, match=message):
        as_key(rng)


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match=r"a key is named with a string, such as key\['fc1.weight'\]; got 3"):
        sb.Key(0)[3]


def test_a_seed_may_have_any_size():
    huge = sb.Key(7 * 10**5000 + 3)
    parts = [b"int", b"7" + b"0" * 4999 + b"3", b"", b"normal32"]
    text = b"1,0;" + b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    digest = hashlib.blake2b(text, digest_size=32, person=b"symbreak-v1").digest()
    assert state(huge)["state"] == int.from_bytes(digest[:16], "little")
    assert repr(huge) == f"Key(7{'0' * 4999}3)"
    assert repr(sb.Key([10**5000])) == f"Key((1{'0' * 5000},))"
    assert repr(sb.Key([1, 2])) == "Key((1, 2))"


def test_a_bit_generator_can_be_copied_and_pickled_and_goes_on_as_itself():
    generator = sb.Key(0)["w"].bit_generator("uniform32")
    generator.random_raw(5)
    copies = [pickle.loads(pickle.dumps(generator)), copy.deepcopy(generator)]
    wanted = generator.random_raw(4).tolist()
    for other in copies:
        assert other.random_raw(4).tolist() == wanted
