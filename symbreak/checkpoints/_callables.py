"""What the pickle of a checkpoint may call for, and what stands in its place: descriptions, made here.

Three lists. What rebuilds tensors becomes a description of the tensor. What is harmless and known becomes a plain node.
What runs code has no business in a file of weights: a file that names it is refused. Safety rests on none of them,
because nothing is ever looked up or called; they decide what is said about the file.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeGuard

from symbreak._visible import number, visible
from symbreak.checkpoints._arrays import MOST_AXES
from symbreak.checkpoints._dtypes import TORCH, TORCH_STORAGES, element_type
from symbreak.checkpoints._inert import Global, Opaque, Pairs, Storage, Tensor, Unread
from symbreak.checkpoints._source import Source

UNTYPED = {Global("torch.storage", "UntypedStorage"), Global("torch", "UntypedStorage")}
LARGEST = 2**63  # one more than any length, stride or offset
RESAVE = "save its state_dict alone, or convert it to safetensors where you trust it"

# Modules from which a checkpoint needs nothing, and with which a pickle can run code.
DANGEROUS = frozenset(
    name
    for line in (
        "os posix nt sys io _io site gc inspect platform signal logging",
        "subprocess pty commands multiprocessing threading _thread asyncio",
        "builtins __builtin__ runpy code codeop imp importlib pkgutil zipimport ctypes _ctypes",
        "pickle _pickle cPickle marshal shelve dill cloudpickle joblib",
        "operator _operator functools",
        "shutil tempfile fileinput glob sqlite3",
        "socket _socket ssl webbrowser urllib http requests httpx ftplib smtplib telnetlib xmlrpc",
        "bdb pdb cProfile profile timeit trace doctest idlelib lib2to3 pip setuptools distutils venv ensurepip",
    )
    for name in line.split()
)

PLAIN = "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"
HARMLESS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        module: frozenset(names.split())
        for modules, names in {
            "builtins __builtin__": PLAIN,
            "_codecs": "encode",
            "copyreg copy_reg": "_reconstructor",
            "argparse": "Namespace",
            "types": "SimpleNamespace",
            "collections": "Counter defaultdict deque",
            "datetime": "date datetime time timedelta timezone",
            "decimal": "Decimal",
            "fractions": "Fraction",
            "uuid": "UUID",
            "pathlib pathlib._local": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
            "numpy": "dtype",
            "numpy.core.multiarray numpy._core.multiarray": "scalar",
            "torch": "device",
            "torch.serialization": "_get_layout",
            "torch.torch_version": "TorchVersion",
        }.items()
        for module in modules.split()
    }
)

ARRAY = "a pickled NumPy array: save it as a tensor"

# What holds values but is not rebuilt: the reason that is reported.
UNREAD: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "torch._utils": {
            "_rebuild_qtensor": "a quantized tensor: dequantize it before saving",
            "_rebuild_sparse_tensor": "a sparse tensor: save its to_dense()",
            "_rebuild_sparse_csr_tensor": "a sparse tensor: save its to_dense()",
            "_rebuild_nested_tensor": "a nested tensor: save its parts",
            "_rebuild_meta_tensor_no_storage": "a meta tensor: it has a shape but no values",
            "_rebuild_wrapper_subclass": "a tensor of a subclass: save the plain tensor",
            "_rebuild_device_tensor_from_numpy": "a tensor of another device kept as a pickled array: save its .cpu()",
            "_rebuild_device_tensor_from_cpu_tensor": "a tensor of another device: save its .cpu()",
            "_rebuild_xla_tensor": "a tensor of another device kept as a pickled array: save its .cpu()",
        },
        **{f"{core}.multiarray": {"_reconstruct": ARRAY} for core in ("numpy.core", "numpy._core")},
        **{f"{core}.numeric": {"_frombuffer": ARRAY} for core in ("numpy.core", "numpy._core")},
    }
)


def is_dangerous(name: Global) -> bool:
    """Whether a checkpoint that merely names this is refused."""
    parts = {name.module.split(".")[0], *name.name.split(".")[:-1]}
    return bool(parts & DANGEROUS) and not is_harmless(name)


def is_harmless(name: Global) -> bool:
    """Whether this is on the list of known plain things."""
    return name.name in HARMLESS.get(name.module, ())


def call(source: Source, maker: Global, args: tuple[object, ...]) -> object:
    """Return the description of what calling `maker` would make.

    Raises
    ------
    BadCheckpoint
        `maker` is on none of the lists, or its arguments make no sense.
    """
    if (rebuild := REBUILD.get(maker)) is not None:
        return rebuild(source, args)
    if (reason := UNREAD.get(maker.module, {}).get(maker.name)) is not None:
        return Unread(reason)
    if is_harmless(maker):
        return Opaque(maker, args, known=True)
    raise would_call(source, maker)


def would_call(source: Source, maker: Global) -> Exception:
    """Return the error for a pickle that calls for something outside the lists."""
    return source.bad(f"its pickle would call {visible(maker)}, which no tensor needs; nothing was run", RESAVE)


def storage(source: Source, identity: object) -> Storage:
    """Return the storage that a persistent id describes: ('storage', class, key, device, elements)."""
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise source.bad("its pickle refers to something other than a storage")
    _, kind, key, _, numel = identity
    if not isinstance(kind, Global) or not isinstance(key, str) or not _natural(numel):
        raise source.bad("its pickle describes a storage that makes no sense")
    return Storage(kind, key, numel)


def _tensor(source: Source, args: tuple[object, ...]) -> Tensor | Unread:
    """Describe (storage, offset, size, stride, requires_grad, hooks, metadata)."""
    if not 4 <= len(args) <= 7 or not isinstance(args[0], Storage):
        raise source.bad("its pickle describes a tensor that makes no sense")
    if _changes_values(args[6:]):
        return Unread("a conjugate or negative view: save its resolve_conj().resolve_neg()")
    name = TORCH_STORAGES.get(args[0].kind.name) if args[0].kind.module in ("torch", "torch.storage") else None
    return _view(source, name, args[0].kind, args[0], args[0].numel, args[1:4])


def _typed_tensor(source: Source, args: tuple[object, ...]) -> Tensor | Unread:
    """Describe (storage, offset, size, stride, requires_grad, hooks, dtype, metadata), over an untyped storage."""
    if not 7 <= len(args) <= 8 or not isinstance(args[0], Storage) or not isinstance(args[6], Global):
        raise source.bad("its pickle describes a tensor that makes no sense")
    if args[0].kind not in UNTYPED:
        raise source.bad(f"its pickle gives a dtype to a {visible(args[0].kind)}, which has its own")
    if _changes_values(args[7:]):
        return Unread("a conjugate or negative view: save its resolve_conj().resolve_neg()")
    name = TORCH.get(args[6].name) if args[6].module == "torch" else None
    numel = args[0].numel // element_type(name).itemsize if name else 0
    return _view(source, name, args[6], args[0], numel, args[1:4])


def _view(
    source: Source, name: str | None, kind: Global, over: Storage, numel: int, layout: tuple[object, ...]
) -> Tensor | Unread:
    """Check that every element of the view lies in its storage, in exact integers."""
    if name is None:
        return Unread(f"its elements are {visible(kind)}, which NumPy does not hold")
    offset, shape, strides = layout
    if not _natural(offset) or not _naturals(shape) or not _naturals(strides) or len(shape) != len(strides):
        raise source.bad("its pickle describes a tensor whose offset, size or stride makes no sense")
    if 0 not in shape:
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        if last >= numel:
            raise source.bad(f"a tensor reaches element {number(last)} of a storage of {number(numel)}")
    return Tensor(over, element_type(name), offset, shape, strides)


def _parameter(source: Source, args: tuple[object, ...]) -> object:
    """Return the tensor of a parameter: (data, requires_grad, hooks[, state])."""
    if not 2 <= len(args) <= 4 or not isinstance(args[0], Tensor | Unread):
        raise source.bad("its pickle describes a parameter that makes no sense")
    return _with_attributes(args[0], *args[3:])


def _subclass(source: Source, args: tuple[object, ...]) -> object:
    """Describe a tensor subclass, a buffer say: (rebuild, class, its arguments, attributes)."""
    if len(args) != 4 or not isinstance(args[0], Global) or not isinstance(args[2], tuple):
        raise source.bad("its pickle describes a tensor that makes no sense")
    if args[0] in SUBCLASS:
        raise source.bad("its pickle nests one tensor subclass in another")
    made = call(source, args[0], args[2])
    return _with_attributes(made, args[3]) if isinstance(made, Tensor | Unread) else made


def _with_attributes(made: Tensor | Unread, *state: object) -> Tensor | Unread:
    """Keep what was set on a tensor in Python; a parameter of a subclass has two lots of it."""
    before = () if made.attributes is None else (made.attributes,)
    parts = tuple(part for one in state for part in (one if isinstance(one, tuple) else (one,)) if part is not None)
    return replace(made, attributes=Opaque(TENSOR, before, known=True, state=(*parts,))) if parts else made


def _size(source: Source, args: tuple[object, ...]) -> object:
    if len(args) != 1 or not _naturals(args[0]):
        raise source.bad("its pickle describes a torch.Size that makes no sense")
    return args[0]


def _ordered(source: Source, args: tuple[object, ...]) -> Pairs:
    """Return an OrderedDict: it is made empty, and filled after; Python 2 gave it a list of keys and values."""
    pairs = args[0] if args else []
    if len(args) > 1 or not isinstance(pairs, list):
        raise source.bad("its pickle makes an OrderedDict of something other than keys and values")
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise source.bad("its pickle makes an OrderedDict of something other than keys and values")
    return Pairs([(pair[0], pair[1]) for pair in pairs])


def _changes_values(metadata: tuple[object, ...]) -> bool:
    return bool(metadata) and isinstance(metadata[0], Pairs) and bool(metadata[0].pairs)


def _natural(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < LARGEST


def _naturals(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and len(value) <= MOST_AXES and all(_natural(item) for item in value)


TENSOR = Global("torch", "Tensor")
SUBCLASS = {Global("torch._tensor", "_rebuild_from_type"), Global("torch._tensor", "_rebuild_from_type_v2")}
REBUILD: Mapping[Global, Callable[[Source, tuple[object, ...]], object]] = MappingProxyType(
    {
        Global("torch._utils", "_rebuild_tensor"): _tensor,
        Global("torch._utils", "_rebuild_tensor_v2"): _tensor,
        Global("torch._utils", "_rebuild_tensor_v3"): _typed_tensor,
        Global("torch._utils", "_rebuild_parameter"): _parameter,
        Global("torch._utils", "_rebuild_parameter_with_state"): _parameter,
        **dict.fromkeys(SUBCLASS, _subclass),
        Global("torch", "Size"): _size,
        Global("collections", "OrderedDict"): _ordered,
    }
)
