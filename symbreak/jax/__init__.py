"""symbreak in JAX: initializers in JAX's form, for whole models, and the diagnostic of a model as it computes."""

try:
    import jax as _jax  # noqa: F401 - what all of this is for
except ImportError as error:  # pragma: no cover - a test runs it in a process of its own
    raise ImportError("symbreak.jax needs JAX, which isn't installed: pip install 'symbreak[jax]'") from error

from symbreak.jax import initializers as initializers
from symbreak.jax._diagnose import diagnose as diagnose
from symbreak.jax._diagnose import wire as wire
from symbreak.jax._initialize import initialize as initialize
from symbreak.jax._initialize import plan as plan
from symbreak.jax._initializer import Initializer as Initializer
