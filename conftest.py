"""Where examples are looked for: in the parts for frameworks only if these are installed."""

import importlib.util

NEEDED = {
    "symbreak/torch": ("torch",),
    "symbreak/torch/_callback.py": ("torch", "transformers"),
    "symbreak/jax": ("jax",),
    "symbreak/keras": ("keras",),
}

collect_ignore = [
    path for path, packages in NEEDED.items() if any(importlib.util.find_spec(each) is None for each in packages)
]
