"""The registry, and classes of somebody else's."""

from dataclasses import dataclass, field

import numpy as np
import pytest

import symbreak as sb
from symbreak.errors import UnknownName
from symbreak.initializers import _registry


@pytest.fixture(autouse=True)
def registry_as_it_was(monkeypatch):
    monkeypatch.setattr(_registry, "_classes", dict(_registry._classes))


@pytest.mark.parametrize("name", ["he_normal", "HeNormal", "kaiming_normal", "KaimingNormal", "He_Normal"])
def test_names_and_class_names_are_read_alike(name):
    assert sb.get(name) == sb.HeNormal()


def test_parameters_go_to_the_constructor():
    assert sb.get("normal", std=0.02) == sb.Normal(0.02)
    assert sb.get(sb.Normal, std=0.02) == sb.Normal(0.02)
    assert sb.get({"name": "normal", "std": 0.02}) == sb.Normal(0.02)


@pytest.mark.parametrize(
    ("identifier", "parameters", "error", "message"),
    [
        ("he_norml", {}, UnknownName, "no initializer is called 'he_norml'; did you mean 'he_normal'"),
        ("qqqqqqqqq", {}, UnknownName, "no initializer is called 'qqqqqqqqq'; known names: .*constant, .*gaussian"),
        (3, {}, TypeError, "an initializer is given by name, class, instance or configuration; got 3"),
        (sb.HeNormal(), {"std": 1}, TypeError, r"parameters go with a name or a class, not with HeNormal\(\)"),
        ({"std": 1}, {}, TypeError, "a configuration is a mapping with a 'name'"),
        ({"name": "normal", "sigma": 1}, {}, TypeError, "Normal can't be made from .*'sigma'"),
        ({"name": "normal", "std": -1}, {}, ValueError, "std is positive"),
    ],
)
def test_what_is_not_known_is_refused(identifier, parameters, error, message):
    with pytest.raises(error, match=message):
        sb.get(identifier, **parameters)


def make(name="triangular"):
    @sb.register(name, "tri_alias")
    class Triangular(sb.AbstractInitializer):
        """The sum of two uniforms."""

        width: float = 1.0

        def sample(self, shape, stream, axes):
            return (stream["a"].uniform(shape) + stream["b"].uniform(shape)) * (self.width / 2)

    return Triangular


def test_a_class_of_fifteen_lines_gets_everything():
    cls = make()
    assert sb.get("triangular", width=2.0) == cls(2.0) == sb.get("tri_alias", width=2.0)
    assert {"triangular", "tri_alias"} <= set(sb.names())
    assert repr(cls(2.0)).endswith("Triangular(width=2.0)")
    assert sb.from_config(cls(2.0).to_config()) == cls(2.0)
    assert hash(cls(2.0)) == hash(cls(2.0)) != hash(cls(1.0))
    made = cls()((300, 400), rng=0)
    assert made.std() == pytest.approx(1 / 6**0.5, rel=0.01)
    assert (cls().region((300, 400), np.s_[7:, 3], rng=0) == made[7:, 3]).all()
    assert cls()((3, 4), rng=0, dtype="float64").dtype == np.float64


@pytest.mark.parametrize("decorate", [dataclass, dataclass(frozen=True), dataclass(frozen=True, repr=False)])
def test_a_class_may_be_decorated_as_a_dataclass_too(decorate):
    @decorate
    class Decorated(sb.AbstractInitializer):
        size: float = 2.0

        def sample(self, shape, stream, axes):
            return stream.sign(shape) * self.size

    assert Decorated(3.0) == Decorated(3.0) != Decorated()
    assert hash(Decorated(3.0)) == hash(Decorated(3.0))
    assert np.abs(Decorated(3.0)((2, 2), rng=0)).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    with pytest.raises(AttributeError, match="cannot assign to field 'size'"):
        Decorated().size = 1.0
    with pytest.raises(AttributeError, match="cannot delete field 'size'"):
        del Decorated().size


def test_a_class_without_parameters_says_so():
    with pytest.raises(TypeError, match=r"HeNormal\(\) takes no arguments"):
        sb.HeNormal(mode="fan_out")


def test_a_class_may_be_defined_again_but_a_name_is_not_taken_over():
    make()
    make()
    with pytest.raises(
        ValueError, match=r"the name 'normal' is taken by symbreak\.initializers\._distributions\.Normal"
    ):
        make("normal")


def test_what_can_not_be_registered():
    with pytest.raises(ValueError, match=r"an initializer's name is lower case with underscores.*got 'He Normal'"):
        make("He Normal")
    with pytest.raises(TypeError, match="register takes a name: @register"):
        sb.register(sb.Normal)
    with pytest.raises(TypeError, match="register decorates a subclass of AbstractInitializer"):
        sb.register("x")(int)


def test_an_unregistered_class_has_no_configuration():
    class Loose(sb.AbstractInitializer):
        def sample(self, shape, stream, axes):
            return stream.sign(shape)

    with pytest.raises(TypeError, match="Loose is not registered; decorate it"):
        Loose().to_config()
    with pytest.raises(NotImplementedError, match="Loose does not state its moments"):
        Loose().expected((2, 3))


class Wrong(sb.AbstractInitializer):
    how: str

    def sample(self, shape, stream, axes):
        return {
            "list": lambda: [1.0],
            "half": lambda: stream.normal(shape).astype(np.float16),
            "shape": lambda: np.zeros(3, np.float32),
            "draw": lambda: stream.normal((2,)),
        }[self.how]()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("list", "Wrong.sample gave list of shape None and dtype None"),
        ("half", "Wrong.sample gave ndarray of shape .* and dtype float16; float32 or float64"),
        ("shape", r"of shape \(3,\).*of shape \(20,\) was due for a weight of shape \(4, 5\)"),
        ("draw", r"an elementwise `sample` draws the whole of its shape, 20 elements; it asked for \(2,\)"),
    ],
)
def test_a_sample_that_keeps_no_promise_is_named(how, message):
    with pytest.raises(ValueError, match=message):
        Wrong(how)((4, 5), rng=0)


def test_a_broken_entry_point_is_named_each_time_and_takes_no_other_name_away(monkeypatch):
    class Point:
        def __init__(self, name, load):
            self.name, self.load, self.dist = name, load, None

    def missing():
        raise ModuleNotFoundError("No module named 'nowhere'")

    class Fine(sb.AbstractInitializer):
        def sample(self, shape, stream, axes):
            return stream.sign(shape)

    points = [Point("not_one", lambda: int), Point("absent", missing), Point("fine_one", lambda: Fine)]
    monkeypatch.setattr(_registry, "_broken", {})
    monkeypatch.setattr(_registry, "_loaded_entry_points", False)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    with pytest.warns(RuntimeWarning) as told:
        assert "fine_one" in sb.names()
    assert len(told) == 2
    assert sb.get("fine_one") == Fine()
    for _ in range(2):
        with pytest.raises(UnknownName, match=r"the entry point 'not_one' of a package.*can't be used.*not a subclass"):
            sb.get("not_one")
        with pytest.raises(
            UnknownName, match=r"the entry point 'absent'.*ModuleNotFoundError: No module named 'nowhere'"
        ):
            sb.get("absent")


class InFloat64(sb.AbstractInitializer):
    """A NumPy scalar widens what it multiplies."""

    def sample(self, shape, stream, axes):
        return stream.normal(shape) * np.float64(2**0.5 / 3)


class InFloat64Whole(InFloat64):
    elementwise = False


@pytest.mark.parametrize("init", [InFloat64(), InFloat64Whole()])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn"])
def test_a_sample_in_float64_is_rounded_to_float32_before_it_is_rounded_to_less(init, dtype):
    made = init((1000, 1000), rng=0, dtype=dtype)
    assert made.tobytes() == init((1000, 1000), rng=0).astype(made.dtype).tobytes()


class Turned(sb.AbstractInitializer):
    """Gives a view of the memory that the stream wrote into."""

    def sample(self, shape, stream, axes):
        return stream.normal(shape)[::-1]


def test_a_sample_may_give_a_view_of_what_it_drew():
    made = Turned()((40,), rng=0)
    assert (made == sb.Normal()((40,), rng=0)[::-1]).all()


def test_a_subclass_of_a_registered_class_does_not_pass_for_it():
    class Isosceles(make()):
        pass

    with pytest.raises(TypeError, match="Isosceles is not registered; decorate it"):
        Isosceles(2.0).to_config()


def test_a_field_that_the_constructor_does_not_take_is_in_no_configuration():
    @sb.register("squared")
    class Squared(sb.AbstractInitializer):
        root: float
        value: float = field(init=False)

        def __post_init__(self):
            object.__setattr__(self, "value", self.root**2)

        def sample(self, shape, stream, axes):
            return stream.full(shape, self.value)

    assert Squared(3.0).to_config() == {"name": "squared", "root": 3.0}
    assert sb.from_config(Squared(3.0).to_config()) == Squared(3.0)
    assert repr(Squared(3.0)).endswith("Squared(root=3.0)")


def test_a_class_with_one_name_that_is_taken_gets_none():
    with pytest.raises(ValueError, match="the name 'normal' is taken"):

        @sb.register("brand_new", "normal")
        class Late(sb.AbstractInitializer):
            def sample(self, shape, stream, axes):
                return stream.sign(shape)

    assert "brand_new" not in sb.names()


@pytest.mark.parametrize("base", [sb.AbstractInitializer, InFloat64, Wrong])
def test_a_post_init_runs_in_a_class_that_adds_no_field(base):
    class Checked(base):
        def __post_init__(self):
            raise ValueError("checked")

        def sample(self, shape, stream, axes):
            return stream.sign(shape)

    with pytest.raises(ValueError, match="checked"):
        Checked(*(["list"] if base is Wrong else []))
