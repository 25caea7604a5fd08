"""The families of models that are known by their names: one row each, the more particular before the more general.

To add one, write a function in a file of its own that makes a `Wiring` of a prefix, the names and the configuration,
and a row here. The anchor is a pattern of one name that only this family has; its group ``p`` is the prefix of all
others. Say every tensor that a model of the family may have: those that aren't there are passed over.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from symbreak.checkpoints.wiring import (
    _bert,
    _convnext,
    _flax,
    _gpt2,
    _llama,
    _mobile,
    _neox,
    _resnet,
    _seq2seq,
    _swin,
    _t5,
    _torch,
    _vision,
)
from symbreak.checkpoints.wiring._chain import chain_wiring
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._patterns import LONGEST
from symbreak.checkpoints.wiring._spec import Wiring


class Family(NamedTuple):
    """One row: the pattern of a name, and the function that wires what has such a name."""

    anchor: str
    wire: Callable[[str, Names, Config], Wiring]


FAMILIES = (
    Family(_gpt2.ANCHOR, _gpt2.gpt2),
    Family(_llama.ANCHOR, _llama.llama),
    Family(_neox.ANCHOR, _neox.neox),
    Family(_bert.ANCHOR, _bert.bert),
    Family(_bert.DISTIL_ANCHOR, _bert.distilbert),
    Family(_t5.ANCHOR, _t5.t5),
    Family(_swin.TORCHVISION, _swin.torchvision_swin),
    Family(_swin.TIMM, _swin.timm_swin),
    Family(_swin.TRANSFORMERS, _swin.transformers_swin),
    Family(_swin.NAMED_SELF, _swin.named_self_swin),
    Family(_vision.TIMM, _vision.timm_vit),
    Family(_vision.VIT, _vision.vit),
    Family(_vision.OLD_VIT, _vision.old_vit),
    Family(_torch.TRANSFORMER, _torch.transformer),
    Family(_seq2seq.CLIP_ANCHOR, _seq2seq.clip),
    Family(_seq2seq.OPT_ANCHOR, _seq2seq.opt),
    Family(_torch.ATTENTION, _torch.attention),
    Family(_torch.RECURRENT, _torch.recurrent),
    Family(_resnet.ANCHOR, _resnet.resnet),
    Family(_mobile.TORCHVISION, _mobile.torchvision_mobile),
    Family(_mobile.TIMM, _mobile.timm_mobile),
    Family(_mobile.TRANSFORMERS, _mobile.transformers_mobile),
    Family(_mobile.FIRST, _mobile.first_mobile),
    Family(_flax.ANCHOR, _flax.attention),
    Family(_convnext.TIMM, _convnext.timm_convnext),
    Family(_convnext.TRANSFORMERS, _convnext.transformers_convnext),
)


def find_wiring(names: Names, config: Config) -> Wiring:
    """Wire what families are known by their names; a plain chain of layers where none is; else say nothing."""
    found = Wiring()
    claimed: set[str] = set()
    for family in FAMILIES:
        anchor = re.compile(family.anchor, re.DOTALL)
        hits = [
            hit
            for name in names.shapes
            if len(name) <= LONGEST and name not in claimed and (hit := anchor.fullmatch(name))
        ]
        for p in dict.fromkeys(hit["p"] or "" for hit in hits):
            if re.search(r"[{}*]", p):
                continue  # it would be read as a pattern
            wiring = family.wire(p, names, config)
            claimed.update(name for each in wiring.statements for name, _ in names.find(each.pattern))
            if wiring.statements:
                found.add(wiring)
    return found if claimed else chain_wiring(names, config)
