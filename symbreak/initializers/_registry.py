"""The registry: initializers by name, from this package, from decorators and from other packages' entry points."""

import importlib
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import UnknownName
from ._base import AbstractInitializer

if TYPE_CHECKING:
    from importlib import metadata

GROUP = "symbreak.initializers"  # of the entry points

_classes: dict[str, type[AbstractInitializer]] = {}
_broken: dict[str, str] = {}  # entry points that could not be loaded, and why
_loaded_entry_points = False
_lock = threading.RLock()

C = TypeVar("C", bound=type[AbstractInitializer])


def register(name: str, *aliases: str) -> Callable[[C], C]:
    """Make a class known to :func:`get` under a name and its aliases.

    Parameters
    ----------
    name
        Lower case with underscores, such as ``"he_normal"``. `to_config` writes it.
    aliases
        Other names.

    Returns
    -------
    callable
        A class decorator, which gives the class back.

    Raises
    ------
    TypeError
        If what is decorated is not an initializer class.
    ValueError
        If a name is taken by another class or is not lower case with underscores.

    Examples
    --------
    >>> import symbreak as sb
    >>> @sb.register("coin")
    ... class Coin(sb.AbstractInitializer):
    ...     "Each weight is plus or minus one."
    ...
    ...     def sample(self, shape, stream, axes):
    ...         return stream.sign(shape)
    >>> sb.get("coin")
    Coin()
    """
    if not isinstance(name, str):
        raise TypeError(f"register takes a name: @register('a_name'); got {name!r}")

    def decorate(cls: C) -> C:
        if not (isinstance(cls, type) and issubclass(cls, AbstractInitializer)):
            raise TypeError(f"register decorates a subclass of AbstractInitializer; got {cls!r}")
        if not cls.__module__.startswith(f"{__package__}."):
            _load_families()  # whose names are taken
        with _lock:
            for each in (name, *aliases):
                _check(each, cls)  # all of them before any is added
            for each in (name, *aliases):
                _add(each, cls)
            cls.name = name
        return cls

    return decorate


def _check(name: str, cls: type[AbstractInitializer]) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"an initializer's name is lower case with underscores, such as 'he_normal'; got {name!r}")
    owner = _classes.get(name)
    # A module that is loaded anew defines its classes again, under the same qualified name.
    if owner is not None and (owner.__module__, owner.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"the name {name!r} is taken by {owner.__module__}.{owner.__qualname__}; choose another")


def _add(name: str, cls: type[AbstractInitializer]) -> None:
    _check(name, cls)
    _classes[name] = cls


def names() -> list[str]:
    """List the names that :func:`get` knows, aliases too, in alphabetical order.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import symbreak as sb
    >>> "xavier_uniform" in sb.names()
    True
    """
    _load_families()
    _load_entry_points()
    return sorted(_classes)


def get(identifier: Any, **parameters: Any) -> AbstractInitializer:
    """Give an initializer by its name, class, configuration, or as it is.

    Parameters
    ----------
    identifier
        A registered name (``"he_normal"``; a class name such as ``"HeNormal"`` is read alike), a class, a dict that
        ``to_config`` gave, or an instance, which comes back unchanged.
    **parameters
        For the constructor, where a name or a class is given.

    Returns
    -------
    AbstractInitializer

    Raises
    ------
    UnknownName
        If no initializer has the name; the message shows the nearest.
    TypeError
        For anything else, or for parameters beside an instance or a dict.

    See Also
    --------
    names : All that there are.
    register : Add one.
    from_config : A configuration, with its parameters.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.get("kaiming_normal")
    HeNormal()
    >>> sb.get("normal", std=0.02)
    Normal(std=0.02)
    """
    if isinstance(identifier, str):
        return _find(identifier)(**parameters)
    if isinstance(identifier, type) and issubclass(identifier, AbstractInitializer):
        return identifier(**parameters)
    if parameters:
        raise TypeError(f"parameters go with a name or a class, not with {identifier!r}")
    if isinstance(identifier, AbstractInitializer):
        return identifier
    if isinstance(identifier, Mapping):
        return from_config(identifier)
    raise TypeError(f"an initializer is given by name, class, instance or configuration; got {identifier!r}")


def from_config(config: Mapping[str, Any]) -> AbstractInitializer:
    """Make an initializer from what its ``to_config`` gave.

    Parameters
    ----------
    config
        A mapping with ``"name"`` and the constructor's parameters.

    Returns
    -------
    AbstractInitializer

    Raises
    ------
    UnknownName, TypeError, ValueError
        For an unknown name, or parameters that the class does not take.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.from_config(sb.Normal(0.02).to_config()) == sb.Normal(0.02)
    True
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("name"), str):
        raise TypeError(f"a configuration is a mapping with a 'name', as `to_config` gives it; got {config!r}")
    parameters = {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items() if key != "name"
    }
    cls = _find(config["name"])
    try:
        return cls(**parameters)
    except TypeError as error:
        raise TypeError(f"{cls.__name__} can't be made from {dict(config)!r}: {error}") from None


def _find(name: str) -> type[AbstractInitializer]:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if snake not in _classes:
        _load_families()
    if snake not in _classes:
        _load_entry_points()
    if snake in _classes:
        return _classes[snake]
    if snake in _broken:
        raise UnknownName(_broken[snake])
    import difflib  # for errors only

    near = difflib.get_close_matches(snake, _classes, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known names: {', '.join(sorted(_classes))}"
    raise UnknownName(f"no initializer is called {name!r}; {hint}")


def _load_families() -> None:
    """Import every family of the shelf, which registers its classes."""
    from . import FAMILIES

    for family in dict.fromkeys(FAMILIES.values()):
        importlib.import_module(f".{family}", __package__)


def _load_entry_points() -> None:
    global _loaded_entry_points  # noqa: PLW0603 - once a process
    with _lock:
        if _loaded_entry_points:
            return
        _loaded_entry_points = True
        from importlib import metadata  # takes as long to import as all of symbreak

        for point in metadata.entry_points(group=GROUP):
            try:
                _add_entry_point(point)
            except Exception as error:
                package = point.dist.name if point.dist else "a package"
                _broken[point.name] = (
                    f"the entry point {point.name!r} of {package}, in the group {GROUP!r}, can't be used: "
                    f"{type(error).__name__}: {error}"
                )
                warnings.warn(_broken[point.name], RuntimeWarning, stacklevel=3)


def _add_entry_point(point: "metadata.EntryPoint") -> None:
    cls = point.load()
    if not (isinstance(cls, type) and issubclass(cls, AbstractInitializer)):
        raise TypeError(f"it gives {cls!r}, which is not a subclass of AbstractInitializer")
    _add(point.name, cls)
    if cls.name is None:
        cls.name = point.name
