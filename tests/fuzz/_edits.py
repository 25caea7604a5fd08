"""Mutations of valid files, as Hypothesis draws and shrinks them."""

from collections.abc import Sequence

from hypothesis import strategies as st

# Values at which lengths and counts go wrong.
EDGES = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 20, 1 << 24]
EDGES += [(1 << bits) - step for bits in (31, 32, 40, 62, 63, 64) for step in (0, 1)]


@st.composite
def edited(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw a valid file with a few changes: numbers, bytes, pieces that are lost, doubled, or of another file."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["number", "flip", "insert", "drop", "double", "cut", "splice", "fill"]))
        length = draw(st.sampled_from([1, 2, 4, 8, 16, 64, 300]))
        if kind == "number":
            size = draw(st.sampled_from([1, 2, 4, 8]))
            value = draw(st.sampled_from(EDGES)) % (1 << 8 * size)
            data[at : at + size] = value.to_bytes(size, draw(st.sampled_from(["little", "big"])))
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "cut":
            del data[at:]
        elif kind == "splice":
            other = draw(st.sampled_from(seeds))
            begin = draw(st.integers(0, len(other)))
            data[at : at + length] = other[begin : begin + length]
        elif kind == "fill":
            data[at : at + length] = bytes([draw(st.sampled_from([0, 0x41, 0xFF]))]) * length
    return bytes(data)
