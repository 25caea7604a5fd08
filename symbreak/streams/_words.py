"""The words of a lane by their place in it, from bit generators that a thread keeps from piece to piece."""

import threading

import numpy as np
import numpy.typing as npt

from ._key import Key

KEPT = 4  # bit generators a thread: of the lanes that a piece of a weight is drawn from


class Words:
    """The words of one lane of a key, wherever they are asked for."""

    __slots__ = ("_generator", "_position")

    def __init__(self, generator: "np.random.PCG64DXSM") -> None:
        self._generator = generator  # at word 0
        self._position = 0

    def take(self, at: int, count: int) -> npt.NDArray[np.uint64]:
        """Give words ``at ... at + count - 1``."""
        if at != self._position:
            self._generator.advance((at - self._position) % (1 << 128))
            self._position = at
        found = np.asarray(self._generator.random_raw(count))
        self._position = at + count
        return found


class _Kept(threading.local):
    def __init__(self) -> None:
        self.words: dict[tuple[Key, str], Words] = {}


_kept = _Kept()


def borrow(key: Key, lane: str) -> Words:
    """Give the words of a lane for one draw; :func:`give_back` keeps them for the next.

    Between the two they are nobody else's: a draw that ends halfway, by an error or by Ctrl-C, leaves none whose place
    is in doubt.
    """
    return _kept.words.pop((key, lane), None) or Words(key.bit_generator(lane))


def give_back(key: Key, lane: str, words: Words) -> None:
    """Keep the words for this thread's next draw from the lane."""
    kept = _kept.words
    if len(kept) >= KEPT:
        kept.pop(next(iter(kept)), None)  # the oldest
    kept[key, lane] = words
