"""Low-rank pairs: the product of two weights, of which one starts at zero, and never both (SB203).

The gradient of each factor is a product with the other. With one at zero the other one's gradient is zero for one step; with
both at zero every gradient is zero at every step.
"""

import re
from collections.abc import Iterator

from symbreak.findings import Finding

from ._names import template
from ._sketch import Source, first_values

PIECE = 1 << 22

# One factor and the other: PEFT, kohya, diffusers, and what Flax modules are called.
FACTORS = (
    (re.compile(r"lora_A(?=[./_]|\Z)"), "lora_B"),
    (re.compile(r"lora_a(?=[./_]|\Z)"), "lora_b"),
    (re.compile(r"lora_embedding_A(?=[./_]|\Z)"), "lora_embedding_B"),
    (re.compile(r"lora_down(?=[./_]|\Z)"), "lora_up"),
    (re.compile(r"lora([./])down(?=[./_]|\Z)"), r"lora\1up"),
)


def judge_low_rank(source: Source) -> list[Finding]:
    """Report low-rank pairs that are zero in both factors."""
    alike: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for pair in _pairs(source):
        if all(_is_zero(source, name) for name in pair):
            alike.setdefault((template(pair[0]), template(pair[1])), []).append(pair)
    findings = []
    for (one, other), *others in alike.values():
        also = f"; likewise {len(others)} more {'pair' if len(others) == 1 else 'pairs'}" if others else ""
        text = f"both factors of a product are zero, and so is every gradient of both: {one} and {other}{also}"
        fix = "draw one factor from a random initializer, usually the first, and leave the other at zero"
        findings.append(Finding.of("SB203", one, text, fix=fix))
    return findings


def _pairs(source: Source) -> Iterator[tuple[str, str]]:
    for name in source.arrays:
        for pattern, replacement in FACTORS:
            other = pattern.sub(replacement, name)
            if other != name and other in source.arrays:
                yield name, other
                break


def _is_zero(source: Source, name: str) -> bool:
    try:
        if not source.size(name) or first_values(source, name).any():
            return False
        return not any(piece.any() for piece in source.pieces(name, PIECE))
    except source.errors:
        return False
