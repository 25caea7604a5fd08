"""Hypothesis strategies for what initializers take: dtypes, shapes, layouts, keys; and for initializers themselves."""

from dataclasses import MISSING
from typing import Any, NamedTuple

from ..axes import Axes, AxesLike
from ..dtypes import EXTENSION_FLOATS, NUMPY_FLOATS
from ..initializers import AbstractInitializer, get, names
from ..initializers._registry import _find
from ..streams import Key

try:
    from hypothesis import assume, reject
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    raise ImportError(f"symbreak.testing.strategies needs Hypothesis ({error}): pip install hypothesis") from error

KERNELS: list[tuple[tuple[int, ...], AxesLike]] = [
    ((8, 8, 4, 4), "iohw"), ((16, 2, 3, 3), None), ((18, 1, 16), None), ((4, 6), None),
]  # fmt: skip
DENSE, STACKED, CONVOLUTIONS = ("oi",), ("boi",), ("oiw", "oihw", "boihw")


class Request(NamedTuple):
    """An initializer, and a weight that it makes.

    Attributes
    ----------
    initializer
        Of the shelf, or of a plug-in that needs no parameter.
    shape, axes
        Of a weight, and its layout, as calling the initializer takes them.
    """

    initializer: AbstractInitializer
    shape: tuple[int, ...]
    axes: AxesLike


def dtypes(*, coarse: bool = True) -> SearchStrategy[str]:
    """Draw the names of the types that weights have.

    Parameters
    ----------
    coarse
        Half precision and the 8-bit floats, too.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of str.

    Examples
    --------
    >>> from symbreak.testing import strategies
    >>> strategies.dtypes(coarse=False)
    sampled_from(['float32', 'float64'])
    """
    return st.sampled_from([*NUMPY_FLOATS, *EXTENSION_FLOATS] if coarse else ["float32", "float64"])


def shapes(
    *, least_axes: int = 0, most_axes: int = 4, least: int = 0, most: int = 24
) -> SearchStrategy[tuple[int, ...]]:
    """Draw shapes of any meaning.

    Parameters
    ----------
    least_axes, most_axes
        How many axes.
    least, most
        Bounds of the size of an axis.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of tuples of int.

    Examples
    --------
    >>> from hypothesis import given
    >>> from symbreak.testing import strategies
    >>> @given(strategies.shapes(most=5))
    ... def test(shape):
    ...     assert max(shape, default=0) <= 5
    >>> test()
    """
    return st.lists(st.integers(least, most), min_size=least_axes, max_size=most_axes).map(tuple)


def keys() -> SearchStrategy[Key]:
    """Draw keys: any seed, and up to three names below it.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of :class:`symbreak.Key`.
    """

    def below(seed: int, path: list[str]) -> Key:
        key = Key(seed)
        for name in path:
            key = key[name]
        return key

    name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
    return st.builds(below, st.integers(0, 2**64 - 1), st.lists(name, max_size=3))


@st.composite
def _layouts(draw: Any, least: int, most: int) -> tuple[tuple[int, ...], AxesLike]:
    kind = draw(st.sampled_from(["usual", "named", "named", "groups", "splits"]))
    side = st.integers(least, most)
    if kind == "usual":
        layout = draw(st.sampled_from(["oi", "oiw", "oihw"]))
        return tuple(draw(side) for _ in layout), None
    if kind == "named":
        letters = draw(st.sampled_from([*DENSE, *STACKED, *CONVOLUTIONS]))
        layout = "".join(draw(st.permutations(letters)))
        return tuple(draw(side) for _ in layout), layout
    if kind == "groups":
        layout = draw(st.sampled_from(["oihw", "hwio", "oiw"]))
        groups = draw(st.integers(1, max(1, most // 2)))
        each = draw(st.integers(min(1, least), max(1, most // groups)))
        sizes = {"o": groups * each, "i": draw(side), "h": draw(st.integers(1, 3)), "w": draw(st.integers(1, 3))}
        return tuple(sizes[letter] for letter in layout), Axes(layout, groups=groups)
    layout = draw(st.sampled_from(["oi", "io", "boi"]))
    parts = tuple(draw(st.lists(st.integers(1, max(1, most // 2)), min_size=2, max_size=4)))
    sizes = {"o": sum(parts), "i": draw(side), "b": draw(st.integers(1, 3))}
    return tuple(sizes[letter] for letter in layout), Axes(layout, splits=parts)


def layouts(*, least: int = 1, most: int = 24) -> SearchStrategy[tuple[tuple[int, ...], AxesLike]]:
    """Draw weights: a shape, and what its axes are.

    Dense ones, convolutions and stacked copies, in any order of their axes, with groups, and with fused parts.

    Parameters
    ----------
    least, most
        Bounds of the size of most axes; the sum of fused parts may be larger.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of pairs: a tuple of int, and None, a layout or :class:`symbreak.Axes`.

    Examples
    --------
    >>> import symbreak as sb
    >>> from hypothesis import given
    >>> from symbreak.testing import strategies
    >>> @given(strategies.layouts())
    ... def test(layout):
    ...     shape, axes = layout
    ...     assert sb.fans(shape, axes).fan_in >= 1
    >>> test()
    """
    return _layouts(least, most)


_positive = st.floats(1e-3, 1e3)
_number = st.floats(-1e3, 1e3).map(lambda value: round(value, 6))
_plain = st.sampled_from(["he_normal", "glorot_uniform", "lecun_truncated_normal", "orthogonal"]).map(get)

# What the constructors of the shelf take, by the name of the class; those that are not here take nothing, or defaults.
PARAMETERS: dict[str, dict[str, SearchStrategy[Any]]] = {
    "blocks": {"inits": st.tuples(_plain, _plain)},
    "cayley": {"form": st.sampled_from(["rotation", "skew"])},
    "chrono": {"longest": st.floats(3, 1e4), "order": st.sampled_from(["ifgo", "ifog"])},
    "constant": {"value": _number.filter(bool)},
    "delta_orthogonal": {"gain": _positive},
    "dirac": {"gain": _positive},
    "forget_bias": {"value": _positive, "order": st.sampled_from(["ifgo", "ifog"])},
    "fourier": {"part": st.sampled_from(["both", "real", "imaginary"])},
    "henaff": {"form": st.sampled_from(["rotation", "skew"])},
    "icnr": {"init": _plain, "scale": st.integers(2, 3)},
    "identity": {"gain": _positive, "shift": st.integers(-3, 3)},
    "looks_linear": {"init": _plain},
    "masked": {"init": _plain, "mask": st.sampled_from(["lower", "blocks:2"])},
    "normal": {"std": _positive, "mean": _number},
    "orthogonal": {"gain": _positive},
    "padded_identity": {"gain": _positive},
    "perturbed": {"init": _plain, "noise": st.floats(1e-3, 1)},
    "prior_bias": {"prior": st.floats(0.001, 0.999)},
    "rademacher": {"std": _positive},
    "s4d_frequency": {"kind": st.sampled_from(["lin", "inv"])},
    "same_as": {"parameter": st.text(min_size=1, max_size=12)},
    "scaled": {"init": _plain, "factor": _positive},
    "siren": {"w0": st.floats(1, 100), "first": st.booleans()},
    "sparse": {"inputs": st.integers(1, 8), "std": _positive},
    "truncated_normal": {
        "std": _positive, "mean": _number, "low": st.floats(-4, -0.5), "high": st.floats(0.5, 4),
        "corrected": st.booleans(),
    },
    "uniform": {"low": st.floats(-10, -0.1), "high": st.floats(0.1, 10)},
    "variance_scaling": {
        "scale": _positive, "fan": st.sampled_from(["in", "out", "average"]),
        "distribution": st.sampled_from(["normal", "uniform", "truncated_normal"]),
    },
}  # fmt: skip


def initializers(*, ties: str | None = None, elementwise: bool | None = None) -> SearchStrategy[AbstractInitializer]:
    """Draw initializers of the shelf, and of every plug-in that needs no parameter, with parameters of many sizes.

    Parameters
    ----------
    ties
        ``"breaks"``, ``"ties"`` or ``"zeroes"``: those of this policy only.
    elementwise
        Those that are, or are not.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of :class:`symbreak.AbstractInitializer`. Not each makes every weight: :func:`requests` draws what fits.

    Raises
    ------
    ValueError
        For a policy that is not one of the three, or `elementwise` that is none.

    Examples
    --------
    >>> from hypothesis import given
    >>> from symbreak.testing import strategies
    >>> @given(strategies.initializers(ties="zeroes"))
    ... def test(init):
    ...     assert not init((3, 2), rng=0).any()
    >>> test()
    """
    if ties not in (None, "breaks", "ties", "zeroes"):
        raise ValueError(f"ties is 'breaks', 'ties', 'zeroes' or None; got {ties!r}")
    if elementwise not in (None, True, False):
        raise ValueError(f"elementwise is True, False or None; got {elementwise!r}")
    return _initializers(ties, elementwise)


@st.composite
def _initializers(draw: Any, ties: str | None, elementwise: bool | None) -> AbstractInitializer:
    shelf = _shelf()
    made: AbstractInitializer = draw(draw(st.sampled_from(list(shelf.values()))))
    likely = [each for name, each in shelf.items() if _fits(_find(name), ties, elementwise)]
    if likely and not _fits(made, ties, elementwise):  # one of a class that says so itself
        made = draw(draw(st.sampled_from(likely)))
    assume(_fits(made, ties, elementwise))
    return made


def _fits(init: Any, ties: str | None, elementwise: bool | None) -> bool:
    return (ties is None or init.ties == ties) and (elementwise is None or init.elementwise == elementwise)


def _shelf() -> dict[str, SearchStrategy[AbstractInitializer]]:
    """Give a strategy for each registered class that it is known how to make, by its name."""
    classes = {cls.name: cls for cls in map(_find, names()) if cls.name is not None}
    made = {}
    for name, cls in classes.items():
        ours = PARAMETERS.get(name, {}) if cls.__module__.startswith("symbreak.") else {}
        needed = {field.name for field in cls._fields() if field.default is field.default_factory is MISSING}
        if needed <= set(ours):
            made[name] = st.builds(cls, **ours)
    return made


def requests(
    *,
    ties: str | None = None,
    elementwise: bool | None = None,
    least: int = 1,
    most: int = 24,
) -> SearchStrategy[Request]:
    """Draw an initializer together with a weight that it makes.

    Parameters
    ----------
    ties, elementwise
        As for :func:`initializers`.
    least, most
        As for :func:`layouts`; vectors are drawn as well, and square matrices.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of named tuples ``(initializer, shape, axes)``.

    Examples
    --------
    >>> from hypothesis import given
    >>> from symbreak.testing import strategies
    >>> @given(strategies.requests(ties="breaks", most=8), strategies.keys())
    ... def test(request, key):
    ...     init, shape, axes = request
    ...     assert init(shape, key, axes=axes).shape == shape
    >>> test()
    """
    return _requests(initializers(ties=ties, elementwise=elementwise), least, most)


@st.composite
def _requests(draw: Any, drawn: SearchStrategy[AbstractInitializer], least: int, most: int) -> Request:
    kind = draw(st.sampled_from(["layout", "layout", "vector", "square", "kernel"]))
    size = st.integers(least, most)
    if kind == "layout":
        shape, axes = draw(layouts(least=least, most=most))
    elif kind == "vector":
        shape, axes = (draw(size),), None
    elif kind == "square":
        shape, axes = (draw(size),) * 2, None
    else:
        shape, axes = draw(st.sampled_from(KERNELS))
    init = draw(drawn)
    try:
        init(shape, 0, axes=axes)
    except ValueError:  # this class makes other weights
        reject()
    return Request(init, shape, axes)
