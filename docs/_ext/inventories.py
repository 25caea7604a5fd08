"""Links to the documentation of other projects, from short lists instead of downloaded inventories."""

import atexit
import shutil
import tempfile
import zlib
from pathlib import Path

# name: (role, page); `$` stands for the name, which is also the anchor.
PYTHON = {
    "bool": ("class", "library/functions.html#$"),
    "bytes": ("class", "library/stdtypes.html#$"),
    "callable": ("function", "library/functions.html#$"),
    "dict": ("class", "library/stdtypes.html#$"),
    "float": ("class", "library/functions.html#$"),
    "int": ("class", "library/functions.html#$"),
    "list": ("class", "library/stdtypes.html#$"),
    "object": ("class", "library/functions.html#$"),
    "set": ("class", "library/stdtypes.html#$"),
    "str": ("class", "library/stdtypes.html#$"),
    "tuple": ("class", "library/stdtypes.html#$"),
    "type": ("class", "library/functions.html#$"),
    "None": ("data", "library/constants.html#$"),
    "Exception": ("exception", "library/exceptions.html#$"),
    "ImportError": ("exception", "library/exceptions.html#$"),
    "IndexError": ("exception", "library/exceptions.html#$"),
    "KeyError": ("exception", "library/exceptions.html#$"),
    "NotImplementedError": ("exception", "library/exceptions.html#$"),
    "OSError": ("exception", "library/exceptions.html#$"),
    "TypeError": ("exception", "library/exceptions.html#$"),
    "ValueError": ("exception", "library/exceptions.html#$"),
    "abc.ABC": ("class", "library/abc.html#$"),
    "collections.abc.Callable": ("class", "library/collections.abc.html#$"),
    "collections.abc.Iterable": ("class", "library/collections.abc.html#$"),
    "collections.abc.Iterator": ("class", "library/collections.abc.html#$"),
    "collections.abc.Mapping": ("class", "library/collections.abc.html#$"),
    "collections.abc.Sequence": ("class", "library/collections.abc.html#$"),
    "concurrent.futures.Executor": ("class", "library/concurrent.futures.html#$"),
    "concurrent.futures._base.Executor": (  # where the class says that it lives
        "class",
        "library/concurrent.futures.html#concurrent.futures.Executor",
    ),
    "os.PathLike": ("class", "library/os.html#$"),
    "pathlib.Path": ("class", "library/pathlib.html#$"),
    "typing.Any": ("data", "library/typing.html#$"),
    "typing.ClassVar": ("data", "library/typing.html#$"),
    "typing.Literal": ("data", "library/typing.html#$"),
    "typing.NamedTuple": ("class", "library/typing.html#$"),
}
DASK = {
    "dask.array.Array": ("class", "generated/$.html#$"),
    "dask.array.core.Array": ("class", "generated/dask.array.Array.html#dask.array.Array"),
}
HYPOTHESIS = {
    "hypothesis.strategies.SearchStrategy": ("class", "reference/strategies.html#$"),
    "hypothesis.strategies._internal.strategies.SearchStrategy": (
        "class",
        "reference/strategies.html#hypothesis.strategies.SearchStrategy",
    ),
}
NUMPY = {
    "numpy.dtype": ("class", "reference/generated/$.html#$"),
    "numpy.float64": ("class", "reference/arrays.scalars.html#$"),
    "numpy.generic": ("class", "reference/arrays.scalars.html#$"),
    "numpy.int64": ("class", "reference/arrays.scalars.html#$"),
    "numpy.ndarray": ("class", "reference/generated/$.html#$"),
    "numpy.random.BitGenerator": ("class", "reference/random/bit_generators/generated/$.html#$"),
    "numpy.random.Generator": ("class", "reference/random/generator.html#$"),
    "numpy.random.PCG64DXSM": ("class", "reference/random/bit_generators/pcg64dxsm.html#$"),
    "numpy.random.SeedSequence": ("class", "reference/random/bit_generators/generated/$.html#$"),
    "numpy.typing.ArrayLike": ("class", "reference/typing.html#$"),
    "numpy.typing.DTypeLike": ("class", "reference/typing.html#$"),
}


def mapping() -> dict[str, tuple[str, str]]:
    """Write the inventories to a temporary folder and give what `intersphinx_mapping` takes."""
    folder = Path(tempfile.mkdtemp(prefix="symbreak-docs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {
        "python": ("https://docs.python.org/3", write(folder / "python.inv", "Python", PYTHON)),
        "dask": ("https://docs.dask.org/en/stable", write(folder / "dask.inv", "Dask", DASK)),
        "hypothesis": (
            "https://hypothesis.readthedocs.io/en/latest",
            write(folder / "h.inv", "Hypothesis", HYPOTHESIS),
        ),
        "numpy": ("https://numpy.org/doc/stable", write(folder / "numpy.inv", "NumPy", NUMPY)),
    }


def write(path: Path, project: str, entries: dict[str, tuple[str, str]]) -> str:
    """Write one inventory in the format of Sphinx, version 2."""
    head = (
        f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n# The remainder is compressed with zlib.\n"
    )
    lines = [f"{name} py:{role} 1 {page.replace('$', name)} -\n" for name, (role, page) in entries.items()]
    path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
    return str(path)
