"""Weights of zeros: those that are meant (SB202), and low-rank pairs of which both factors are zero (SB203).

The gradient of each factor is a product with the other. With one at zero the other one's gradient is zero for one step;
with both at zero every gradient is zero at every step.
"""

import re
from collections.abc import Iterator, Mapping

from symbreak.findings import Finding

from ._names import template
from ._purpose import starts_at_zero
from ._sketch import PIECE, Sketch, Source, first_values

# One factor and the other: PEFT, kohya, diffusers, Keras, and what Flax modules are called.
FACTORS = (
    (re.compile(r"lora_A(?=[./_]|\Z)"), "lora_B"),
    (re.compile(r"lora_a(?=[./_]|\Z)"), "lora_b"),
    (re.compile(r"lora_embedding_A(?=[./_]|\Z)"), "lora_embedding_B"),
    (re.compile(r"lora_(kernel|embeddings)_a(?=[./_]|\Z)"), r"lora_\1_b"),
    (re.compile(r"lora_down(?=[./_]|\Z)"), "lora_up"),
    (re.compile(r"lora([./])down(?=[./_]|\Z)"), r"lora\1up"),
)


def judge_zeros(source: Source, sketches: Mapping[str, Sketch]) -> list[Finding]:
    """Report low-rank pairs that are zero in both factors, and note the other weights that are zero on purpose."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for pair in _pairs(source):
        if all(_is_zero(source, name) for name in pair):
            alike.setdefault(template(pair[0]), []).append(pair)
    findings = []
    for (one, other), *others in alike.values():
        also = f"; likewise {len(others)} more {'pair' if len(others) == 1 else 'pairs'}" if others else ""
        text = f"both factors of a product are zero, and so is every gradient of both: {one} and {other}{also}"
        fix = "draw one factor from a random initializer, usually the first, and leave the other at zero"
        findings.append(Finding.of("SB203", one, text, fix=fix))
    blocked = {name for pairs in alike.values() for pair in pairs for name in pair}
    return findings + _meant(source, [name for name in sketches if name not in blocked])


def _meant(source: Source, names: list[str]) -> list[Finding]:
    """Note weights that are zero as they may start, those of one kind together."""
    alike: dict[str, list[str]] = {}
    for name in names:
        if starts_at_zero(name) and _is_zero(source, name):
            alike.setdefault(template(name), []).append(name)
    findings = []
    for first, *others in alike.values():
        also = f"; likewise {len(others)} more {'weight' if len(others) == 1 else 'weights'}" if others else ""
        text = f"every weight is zero, as this part of a network may start: the next step separates its units{also}"
        fix = "nothing, if the weights before and behind it are not zero too"
        findings.append(Finding.of("SB202", first, text, fix=fix))
    return findings


def _pairs(source: Source) -> Iterator[tuple[str, str]]:
    for name in source.arrays:
        for pattern, replacement in FACTORS:
            other = pattern.sub(replacement, name)
            if other != name and other in source.arrays:
                yield name, other


def _is_zero(source: Source, name: str) -> bool:
    try:
        if not source.size(name) or first_values(source, name).any():
            return False
        return not any(piece.any() for piece in source.pieces(name, PIECE))
    except source.errors:
        return False
