"""Diagnose models that people use, built from their configs: how much of each is understood, and is it right.

For each model: the share of its values whose wiring is understood; findings of a warning and above, of which a healthy
model has none; the largest change of its outputs, relative, as the units of spaces are renumbered; and how many ties
that are planted, one space each, are found. Run it by name, some minutes::

    python -m tests.torch.models [WORD]...

A word leaves out the models whose name has it not. It needs transformers, timm and torchvision.
"""

import sys
import time
import warnings

import numpy as np
import torch

import symbreak.torch as sbt
from symbreak.findings import Level
from symbreak.torch._wire import understood, wired_with
from tests.checkpoints.wiring._planted import plantable
from tests.torch._renumbered import Renumbered
from tests.torch.whole_models import builders

SPACES = 4  # that are renumbered, and in which ties are planted: of many, these, evenly spread
IDS = torch.arange(14).reshape(2, 7) % 90 + 5
LARGE = 3_000_000  # values of a model of which one space is enough
SIZES = {"torchvision inception_v3": 299, "torchvision swin_v2_t": 256}
EXAMPLES = {
    "transformers t5": {"input_ids": IDS, "decoder_input_ids": IDS[:, :5]},
    "transformers whisper": {"input_features": torch.randn(2, 80, 100), "decoder_input_ids": IDS},
    "transformers vit": {"pixel_values": torch.randn(2, 3, 32, 32)},
    "transformers clip": {"input_ids": IDS, "pixel_values": torch.randn(2, 3, 32, 32)},
    "transformers wav2vec2": {"input_values": torch.randn(2, 8000)},
}
SINGLE = ("mixtral", "gpt_oss")  # whose products take no double precision


def example(name, model):
    """Give what a model is called with."""
    if name.startswith("transformers"):
        found = EXAMPLES.get(name, {"input_ids": IDS})
        return (), found | ({"use_cache": False} if hasattr(model.config, "use_cache") else {})
    told = getattr(model, "default_cfg", {}).get("input_size", (3, 224, 224))
    size = SIZES.get(name, told[-1])
    return (torch.randn(2, 3, size, size),), {}


def spread(spaces, some=SPACES):
    """Give some of many, evenly spread."""
    places = np.unique(np.linspace(0, len(spaces) - 1, some).astype(int)) if spaces else ()
    return [spaces[number] for number in places]


def look(name, model):
    """Give the row of one model, and what is not understood of it."""
    args, kwargs = example(name, model)
    begin = time.perf_counter()
    report = sbt.diagnose(model, *args, kwargs=kwargs)
    seconds = time.perf_counter() - begin
    found = wired_with(model, args, kwargs)
    share = understood(found.wired, found.arrays)
    findings = [f"{each.code} {each.where}" for each in report.at_least(Level.WARNING)]
    worst, planted = float("nan"), ""
    if not found.by_names:
        run = Renumbered(model.eval(), args, kwargs, precise=not name.endswith(SINGLE))
        some = SPACES if run.total < LARGE else 1
        worst = run.worst(spread(run.closed(), some))[0]
        spaces = spread(plantable(run.graph), some)
        hits = 0
        kept = {key: each.clone() for key, each in model.state_dict().items()}
        for space in spaces:
            run.plant(space)
            codes = {each.code for each in sbt.diagnose(model, *args, kwargs=kwargs).findings}
            hits += bool(codes & {"SB201", "SB205", "SB206"})
            model.load_state_dict(kept)
        planted = f"{hits} of {len(spaces)}"
    count = sum(array.size for array in found.arrays.values())
    by = "names" if found.by_names else "run"
    return (name, f"{count / 1e6:.2f}", by, f"{share:.2%}", str(len(findings)), f"{worst:.0e}", planted,
            f"{seconds:.2f}"), findings, found  # fmt: skip


def main():
    """Print a line a model."""
    words = sys.argv[1:]
    header = ("model", "M values", "wired by", "understood", "findings", "change", "planted", "s")
    print("{:42} {:>8} {:>8} {:>10} {:>8} {:>7} {:>8} {:>6}".format(*header))
    for name, build in builders():
        if words and not all(word in name for word in words):
            continue
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row, findings, found = look(name, build())
        print("{:42} {:>8} {:>8} {:>10} {:>8} {:>7} {:>8} {:>6}".format(*row), flush=True)
        for each in findings[:4]:
            print(f"    {each}")
        if found.by_names:
            print(f"    by names: {found.by_names[:150]}")
        for name, reason in list(found.wired.unknown.items())[:3]:
            print(f"    not understood: {name}: {reason[:150]}")


if __name__ == "__main__":
    main()
