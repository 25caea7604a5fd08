"""Words by their place: the same from any order of asking, and after a draw that was broken off."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.streams import Stream, Window, _words
from symbreak.streams._words import Words, borrow, give_back

KEY = sb.Key(0)["w"]
LONG = KEY.bit_generator("normal32").random_raw(5000)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(_words, "_kept", _words._Kept())


@given(st.lists(st.tuples(st.integers(0, 4900), st.integers(1, 100)), min_size=1, max_size=20))
def test_words_are_those_of_their_places_in_any_order(asked):
    words = Words(KEY.bit_generator("normal32"))
    for at, count in asked:
        assert (words.take(at, count) == LONG[at : at + count]).all()


class Breaks:
    """A bit generator that is interrupted once, right after it has done as asked."""

    def __init__(self, inner, method):
        self.inner, self.method = inner, method

    def __getattr__(self, name):
        def call(number):
            result = getattr(self.inner, name)(number)
            if name == self.method:
                self.method = None
                raise KeyboardInterrupt
            return result

        return call


@pytest.mark.parametrize("method", ["advance", "random_raw"])
def test_a_draw_that_is_broken_off_leaves_no_words_in_doubt(method, monkeypatch):
    window = Window(100_000, np.array([51_200]), 1000)
    expected = Stream(KEY).normal(100_000)[51_200:52_200]
    _words._kept.words.clear()
    make = sb.Key.bit_generator
    monkeypatch.setattr(sb.Key, "bit_generator", lambda self, lane: Breaks(make(self, lane), method))
    with pytest.raises(KeyboardInterrupt):
        Stream(KEY, window=window).normal(100_000)
    monkeypatch.undo()
    assert (Stream(KEY, window=window).normal(100_000) == expected).all()


def test_the_pieces_of_a_weight_share_a_generator_a_thread(monkeypatch):
    made = []
    make = sb.Key.bit_generator
    monkeypatch.setattr(sb.Key, "bit_generator", lambda self, lane: made.append(lane) or make(self, lane))
    size = 8 * sb.streams.PIECE
    expected = Stream(KEY).normal(size)
    made.clear()
    _words._kept.words.clear()
    assert (sb.Normal()(size, rng=KEY, workers=1) == expected).all()
    assert made == ["normal32"]


def test_a_thread_keeps_few_generators_and_only_its_own():
    for number in range(10):
        Stream(sb.Key(number)).uniform(3)
    kept = _words._kept.words
    assert list(kept) == [(sb.Key(number), "uniform32") for number in (6, 7, 8, 9)]
    seen = []
    other = threading.Thread(target=lambda: seen.append(dict(_words._kept.words)))
    other.start()
    other.join()
    assert seen == [{}]


def test_who_borrows_words_has_them_alone():
    give_back(KEY, "sign32", Words(KEY.bit_generator("sign32")))
    first, second = borrow(KEY, "sign32"), borrow(KEY, "sign32")
    assert first is not second
