"""Random numbers whose bits depend on the key and the position, never on the thread, the chunk or the machine."""

from ._key import Key as Key
from ._key import RngLike as RngLike
from ._key import as_key as as_key
from ._stream import Stream as Stream
from ._truncated import TruncatedMoments as TruncatedMoments
from ._truncated import truncated_moments as truncated_moments
from ._window import PIECE as PIECE
from ._window import Window as Window
from ._window import region as region
