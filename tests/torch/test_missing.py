"""Where PyTorch is not installed, symbreak says what brings it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.modules["torch"] = None  # what an import of it finds where it is not there
import symbreak as sb
assert sb.HeNormal()((4, 3), rng=0).shape == (4, 3)
try:
    sb.torch
except ImportError as error:
    print(error)
"""


def test_the_error_names_the_extra():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "symbreak.torch needs PyTorch, which is not installed: pip install 'symbreak[torch]'\n"


def test_a_name_that_is_not_there_is_an_attribute_error():
    torch_part = pytest.importorskip("symbreak.torch", exc_type=ImportError)
    with pytest.raises(AttributeError, match=r"module 'symbreak.torch' has no attribute 'initialise'"):
        torch_part.initialise  # noqa: B018 - to ask for it is the point
