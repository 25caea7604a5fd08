"""The reference says which pages show a name at work: what their code takes from symbreak, and nothing else."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
sys.path.insert(0, str(DOCS / "_ext"))

import uses  # noqa: E402 - found beside the pages

PAGE = """
Here `sb.Ones()` is only spoken of.

```{code-cell}
import symbreak as sb
from symbreak import engine
from symbreak.checkpoints import save_safetensors as save

%matplotlib inline
```

```{code-cell}
---
tags: [hide-input]
---
sb.diagnose(sb.chain([]))
```

```{code-cell}
:tags: [remove-cell]

engine.train(net)
```

```{code-cell}
%%writefile rules.toml
"*" = "zeros"
```

```python
save("model.safetensors", {})
```

>>> sb.Key(0)["a"].words
...
"""


def test_names_are_found_in_cells_blocks_and_sessions(tmp_path):
    (tmp_path / "page.md").write_text(PAGE, "utf-8")
    found = uses.names(uses.code(tmp_path / "page.md"))
    full = {"diagnose", "chain", "engine.train", "checkpoints.save_safetensors", "Key"}
    assert {f"symbreak.{each}" for each in full} <= found
    assert "symbreak.Ones" not in found


def test_programs_are_told_as_pages_of_the_gallery(tmp_path):
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "one.py").write_text("import symbreak as sb\n\nsb.Zeros()\n", "utf-8")
    (tmp_path / "howto").mkdir()
    (tmp_path / "howto" / "two.md").write_text("```python\nimport symbreak as sb\n\nsb.Zeros()\n```\n", "utf-8")
    assert uses.uses(tmp_path)["symbreak.Zeros"] == ["/howto/two", "/gallery/one"]


def test_the_pages_of_this_project_are_read():
    found = uses.uses(DOCS)
    assert {"/tutorial", "/howto/certificate", "/gallery/hidden_tie"} <= set(found["symbreak.diagnose"])
    assert found["symbreak.merge"] == ["/howto/repair"]
    assert "/howto/torch" in found["symbreak.torch.diagnose"]
