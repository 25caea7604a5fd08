"""Keys from torch's generators: words are drawn from the generator, so that its state decides, and goes on.

Without a generator it is the global one of the CPU, whatever the device of the weight: ``torch.manual_seed`` decides,
and the weights are the same on every device.
"""

from typing import TypeAlias

import torch

from ..streams import Key, RngLike, as_key

TorchRng: TypeAlias = "RngLike | torch.Generator"

WORDS = 4  # of 63 bits each


def key_of(generator: "torch.Generator | None") -> Key:
    """Draw a key from a generator, or from the global one of the CPU.

    Returns
    -------
    Key
        The same for the same state, another at every call.
    """
    device = "cpu" if generator is None else generator.device
    words = torch.empty(WORDS, dtype=torch.int64, device=device).random_(generator=generator)
    return Key([int(word) for word in words.tolist()])["torch.Generator"]


def as_torch_key(rng: TorchRng) -> Key:
    """Read a source of random numbers: all that symbreak takes, and torch's generators."""
    if isinstance(rng, torch.Generator):
        return key_of(rng)
    return as_key(rng)
