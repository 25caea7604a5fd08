"""Weights as Dask arrays: every block has the bits of the whole, and costs what it holds."""

import subprocess
import sys

import numpy as np
import pytest

import symbreak as sb
from symbreak.dask import draw

KEY = sb.Key(7)["w"]


@pytest.mark.parametrize("initializer", [sb.HeNormal(), sb.Uniform(0, 1), sb.Orthogonal(), sb.Zeros()], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("chunks", [(70, 90), (300, 1), ((1, 199, 100), (200,)), "auto", -1])
def test_the_bits_are_those_of_the_whole_however_it_is_cut(initializer, dtype, chunks):
    w = draw(initializer, (300, 200), KEY, dtype=dtype, chunks=chunks)
    whole = initializer((300, 200), KEY, dtype=dtype)
    assert (w.shape, w.dtype) == (whole.shape, whole.dtype)
    assert w.compute(scheduler="threads").tobytes() == whole.tobytes()


def test_axes_and_more_dimensions():
    axes = sb.Axes("hwio", groups=4)
    w = draw(sb.HeNormal(), (3, 3, 8, 64), KEY, axes=axes, chunks=(3, 2, 5, 16))
    assert (w.compute(scheduler="sync") == sb.HeNormal()((3, 3, 8, 64), KEY, axes=axes)).all()


def test_complex_weights():
    w = draw(sb.Orthogonal(), (30, 20), KEY, dtype="complex64", chunks=(16, 20))
    assert (w.compute(scheduler="sync") == sb.Orthogonal()((30, 20), KEY, dtype="complex64")).all()


def test_a_part_of_a_huge_weight_draws_that_part():
    w = draw(sb.HeNormal(), (1 << 20, 1 << 14), KEY, chunks=(1024, 1024))
    part = w[500_000:500_003, 5000:5004].compute(scheduler="sync")
    assert (part == sb.HeNormal().region((1 << 20, 1 << 14), np.s_[500_000:500_003, 5000:5004], KEY)).all()


def test_the_same_weight_has_the_same_name_and_others_have_others():
    def name(initializer=None, shape=(30, 20), rng=KEY, **others):
        return draw(initializer or sb.HeNormal(), shape, rng, **{"chunks": (7, 9)} | others).name

    code = (
        "import symbreak as sb; from symbreak.dask import draw\n"
        "print(draw(sb.HeNormal(), (30, 20), sb.Key(7)['w'], chunks=(7, 9)).name)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == name() == name()
    others = [
        name(sb.HeUniform()), name(shape=(20, 30)), name(rng=sb.Key(7)["v"]), name(rng=8), name(dtype="float16"),
        name(axes="io"), name(chunks=(9, 7)),
    ]  # fmt: skip
    assert len({name(), *others}) == 8


def test_fresh_entropy_is_drawn_once():
    w = draw(sb.Normal(), (40, 30), chunks=(20, 30))
    assert (w.compute(scheduler="sync") == w.compute(scheduler="sync")).all()
    assert not (w.compute(scheduler="sync") == draw(sb.Normal(), (40, 30)).compute(scheduler="sync")).any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((sb.Normal, (3, 4)), TypeError, "draw takes an initializer; got <class"),
        ((sb.Normal(), (3, -4)), ValueError, "`shape` has a negative size"),
        ((sb.HeNormal(), (3,)), ValueError, "a weight needs an output and an input axis"),
        ((sb.Orthogonal(), (3,)), ValueError, "a weight needs an output and an input axis"),
    ],
)
def test_what_makes_no_weight_is_refused_at_once(arguments, error, message):
    with pytest.raises(error, match=message):
        draw(*arguments, KEY)
    with pytest.raises(TypeError, match="weights can't be made as 'int8'"):
        draw(sb.Normal(), (3, 4), KEY, dtype="int8")
    with pytest.raises(ValueError, match=r"[Cc]hunks"):
        draw(sb.Normal(), (3, 4), KEY, chunks=(5, 5, 5))


def test_without_dask_the_error_names_the_extra(monkeypatch):
    code = "import sys; sys.modules['dask'] = None\nimport symbreak.dask"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'symbreak[dask]'" in done.stderr
