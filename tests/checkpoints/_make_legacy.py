"""PyTorch files of before version 1.6, put together by hand, so that each fault can be placed exactly."""

import struct

from tests.checkpoints._make import called, dict_of, integer, integers, name, pickled, text, tuple_of
from tests.checkpoints._make import tensor as tensor_over

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
FOUR = struct.pack("<4f", 0, 1, 2, 3)  # the values of a storage


def storage(numel=4, *, kind="torch.FloatStorage", key="0", view=b"N"):
    """Push a storage, by its persistent id."""
    return tuple_of(text("storage"), name(kind), text(key), text("cpu"), integer(numel), view) + b"Q"


def tensor(shape=(4,), strides=(1,), *, offset=0, over=None):
    """Push a tensor of float32."""
    return tensor_over(shape, strides, offset=offset, over=storage() if over is None else over)


def typed(kind, over):
    """Push a tensor of four elements, whose type stands beside its storage."""
    hooks = called(name("collections.OrderedDict"))
    parts = (over, integer(0), integers([4]), integers([1]), b"\x89", hooks, name(kind))
    return called(name("torch._utils._rebuild_tensor_v3"), *parts)


def listed(*keys):
    """Push a list of texts."""
    return b"](" + b"".join(text(key) for key in keys) + b"e"


def record(data=FOUR, numel=4):
    """A storage: the number of its elements, and their bytes."""
    return struct.pack("<q", numel) + data


def legacy(obj=None, *records, keys=("0",), version=None, facts=b"}", object_pickle=None):
    """A file; by default of one tensor of four values."""
    obj = dict_of(w=tensor()) if obj is None else obj
    parts = [pickled(integer(MAGIC)), pickled(integer(VERSION) if version is None else version), pickled(facts)]
    parts.append(pickled(obj) if object_pickle is None else object_pickle)
    last = keys if isinstance(keys, bytes) else pickled(listed(*keys))
    return b"".join([*parts, last, *(records or (record(),))])
