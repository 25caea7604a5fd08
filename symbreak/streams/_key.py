"""Keys: a seed and a path of names, hashed into the state of a bit generator.

Two keys give the same stream only when their seeds and paths are the same: every part is written with its length before
it is hashed, so that ``("ab", "c")`` and ``("a", "bc")`` stay apart, and 256 bits of BLAKE2b fill state and increment.
"""

import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

VERSION = b"symbreak-v1"  # part of the stream's format: other bits are a new version, never an edit

RngLike: TypeAlias = (
    "Key | int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None"
)


@lru_cache(maxsize=1)
def _no_seed() -> Any:
    """Give the cheapest seed, for a bit generator whose state is set right after."""

    class NoSeed(np.random.bit_generator.ISeedSequence):
        def generate_state(self, n_words: int, dtype: npt.DTypeLike = np.uint32) -> npt.NDArray[Any]:
            return np.zeros(n_words, dtype)

        def __reduce__(self) -> tuple[Any, ...]:
            return _no_seed, ()  # a bit generator is pickled with its seed

    return NoSeed()


@final
class Key:
    """A seed and a path of names, from which every random number of a parameter follows.

    A key is a value: it is never used up, and the same seed and names give the same numbers for ever. Take one key a
    model and a name a parameter; two names never share a stream.

    Parameters
    ----------
    seed
        A non-negative integer of any size, or a sequence of them.

    Raises
    ------
    TypeError
        If `seed` is not an integer or a sequence of integers.
    ValueError
        If an integer is negative or the sequence is empty.

    Examples
    --------
    >>> import symbreak as sb
    >>> key = sb.Key(0)
    >>> key["encoder.0.weight"]
    Key(0)['encoder.0.weight']
    >>> sb.Normal()(3, rng=key["a"]).tolist() == sb.Normal()(3, rng=key["b"]).tolist()
    False
    """

    __slots__ = ("_path", "_seed")

    _seed: tuple[str, tuple[int, ...]]  # how it was given ("int" or "ints"), and the numbers
    _path: tuple[str, ...]

    def __init__(self, seed: int | Sequence[int]) -> None:
        object.__setattr__(self, "_seed", _read_seed(seed))
        object.__setattr__(self, "_path", ())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Key can't be changed; make another one (tried to set {name!r})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Key can't be changed; make another one (tried to delete {name!r})")

    @property
    def seed(self) -> int | tuple[int, ...]:
        """The seed, as it was given."""
        kind, numbers = self._seed
        return numbers[0] if kind == "int" else numbers

    @property
    def path(self) -> tuple[str, ...]:
        """The names that lead from the seed to this key."""
        return self._path

    def __getitem__(self, name: str) -> "Key":
        if not isinstance(name, str):
            raise TypeError(f"a key is named with a string, such as key['fc1.weight']; got {name!r}")
        child = object.__new__(Key)
        object.__setattr__(child, "_seed", self._seed)
        object.__setattr__(child, "_path", (*self._path, name))
        return child

    def bit_generator(
        self, lane: str
    ) -> "np.random.PCG64DXSM":  # quoted, so that NumPy loads its random module when it is used
        """Make the bit generator of this key for one kind of draw.

        Parameters
        ----------
        lane
            What the words are for, such as ``"normal32"``. Each lane has a stream of its own, so that a sign and a
            normal drawn at one position are independent.

        Returns
        -------
        numpy.random.PCG64DXSM
            At word 0 of the stream; ``advance(n)`` goes to word n.
        """
        generator = np.random.PCG64DXSM(_no_seed())
        generator.state = self._state(lane)
        return generator

    def _state(self, lane: str) -> Any:
        import hashlib  # loads OpenSSL, which takes a tenth of the time of `import symbreak`

        kind, numbers = self._seed
        names = b"".join([_part(_encode(name)) for name in self._path])
        text = b"%d,%d;%b%b%b" % (
            len(numbers),
            len(self._path),
            _seed_parts(kind, numbers),
            names,
            _part(lane.encode()),
        )
        digest = hashlib.blake2b(text, digest_size=32, person=VERSION).digest()
        return {
            "bit_generator": "PCG64DXSM",
            "state": {
                "state": int.from_bytes(digest[:16], "little"),
                "inc": int.from_bytes(digest[16:], "little") | 1,  # an LCG modulo 2**128 has full period when it is odd
            },
            "has_uint32": 0,
            "uinteger": 0,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and (self._seed, self._path) == (other._seed, other._path)

    def __hash__(self) -> int:
        return hash((self._seed, self._path))

    def __repr__(self) -> str:
        kind, numbers = self._seed
        inner = ", ".join(map(_digits, numbers)) + ("," if len(numbers) == 1 else "")
        return f"Key({_digits(numbers[0]) if kind == 'int' else f'({inner})'})" + "".join(
            f"[{name!r}]" for name in self._path
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (self.seed, self._path)


def draw_words(keys: Iterable[Key], lane: str, out: npt.NDArray[np.uint64]) -> None:
    """Write the first words of ``key.bit_generator(lane)`` for each key into a row of `out`, (keys, words).

    One bit generator goes from key to key, as making one takes longer than drawing a few words from it.
    """
    generator = np.random.PCG64DXSM(_no_seed())
    count = out.shape[1]
    for row, key in zip(out, keys, strict=True):
        generator.state = key._state(lane)
        row[:] = generator.random_raw(count)


def as_key(rng: RngLike) -> Key:
    """Read any of the forms in which a source of random numbers is given.

    Parameters
    ----------
    rng
        A :class:`~symbreak.Key`; an integer or a sequence of integers (a seed: the same one gives the same numbers at
        every call); a ``numpy.random.SeedSequence`` (likewise); a ``BitGenerator`` or ``Generator`` (eight words are
        drawn from it, so that each call gives other numbers); or None (fresh entropy from the operating system).

    Returns
    -------
    Key

    Raises
    ------
    TypeError
        For any other object.
    ValueError
        For a negative seed or an empty sequence.

    Examples
    --------
    >>> from symbreak.streams import as_key
    >>> as_key(7)
    Key(7)
    >>> import numpy as np
    >>> generator = np.random.default_rng(0)
    >>> as_key(generator) == as_key(generator)
    False
    """
    if isinstance(rng, Key):
        return rng
    if rng is None:
        import secrets

        return Key(secrets.randbits(128))
    if isinstance(rng, np.random.SeedSequence):
        return Key([int(word) for word in rng.generate_state(8, np.uint32)])["numpy.random.SeedSequence"]
    if isinstance(rng, np.random.Generator):
        rng = rng.bit_generator
    if isinstance(rng, np.random.BitGenerator):
        return Key([int(word) for word in rng.random_raw(8)])["numpy.random.BitGenerator"]
    if isinstance(rng, np.random.RandomState):
        raise TypeError("rng is a RandomState; pass np.random.default_rng(seed), or the seed itself")
    return Key(rng)


def _read_seed(seed: object) -> tuple[str, tuple[int, ...]]:
    if isinstance(seed, np.ndarray):
        seed = seed.tolist()
    if isinstance(seed, list | tuple | range):
        if not seed:
            raise ValueError("a sequence of seeds needs at least one integer; got an empty one")
        return "ints", tuple(_read_int(number) for number in seed)
    return "int", (_read_int(seed),)


def _read_int(number: object) -> int:
    if isinstance(number, bool | np.bool_):
        raise TypeError(f"a seed is a non-negative integer; got {number!r}")
    try:
        value = operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"rng takes a Key, None, an integer or integers, or NumPy's SeedSequence, BitGenerator or Generator; "
            f"got {number!r}"
        ) from None
    if value < 0:
        raise ValueError(f"a seed is a non-negative integer; got {value}")
    return value


def _part(part: bytes) -> bytes:
    return len(part).to_bytes(8, "little") + part


@lru_cache(maxsize=16)
def _seed_parts(kind: str, numbers: tuple[int, ...]) -> bytes:
    return b"".join(map(_part, [kind.encode(), *(_digits(n).encode() for n in numbers), b""]))


def _digits(number: int) -> str:
    """Write any integer in decimal: Python's own conversion stops at some 4,300 digits."""
    if number < 1 << 4096:
        return str(number)
    from decimal import Decimal

    return format(Decimal(number), "f")


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")  # names from files may hold anything; each must stay distinct


def _remake(seed: int | tuple[int, ...], path: tuple[str, ...]) -> Key:
    key = Key(seed)
    for name in path:
        key = key[name]
    return key
