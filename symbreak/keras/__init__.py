"""symbreak in Keras 3: initializers, whole models, their diagnosis, and a monitor for training."""

try:
    import keras as _keras
except ModuleNotFoundError as _error:
    if _error.name != "keras":  # a backend that is missing: Keras says so itself
        raise
    raise ImportError("symbreak.keras needs Keras 3: pip install 'symbreak[keras]'") from None

if int(_keras.__version__.partition(".")[0]) < 3:
    raise ImportError(
        f"symbreak.keras needs Keras 3, and this is Keras {_keras.__version__}: pip install 'symbreak[keras]'"
    )

from . import initializers as initializers
from ._diagnose import diagnose as diagnose
from ._initialize import initialize as initialize
from ._initialize import plan as plan
from ._initializer import Initializer as Initializer
from ._monitor import Monitor as Monitor
from ._probe import probe as probe
from ._variables import arrays as arrays
from ._wire import wire as wire
