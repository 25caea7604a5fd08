"""How the documentation is built: `sphinx-build -n -W docs OUT`, without network."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# Pictures look alike. Cells run `symbreak` and `python`: those of this environment, activated or not.
os.environ["SYMBREAK_DOCS"] = str(HERE)
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # in cells; with Agg pages have no pictures
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

import inventories  # noqa: E402 - found beside this file
import uses  # noqa: E402
from sphinx.ext.autodoc.mock import _MockObject  # noqa: E402

import symbreak  # noqa: E402

project = "symbreak"
author = "The symbreak developers"
copyright = author  # noqa: A001 - the name that Sphinx gives it
version = release = symbreak.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.extlinks",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "accessible",
    "animation",
    "catalogue",
    "cli_reference",
    "code_pages",
    "error_list",
    "gallery",
    "mathml",
    "names",
    "navigation",
    "signatures",
    "sources",
]
exclude_patterns = ["_build"]
nitpicky = True
default_role = "name"
smartquotes_action = "qe"  # not dashes: --fail-on stays what it is

# Pages in Markdown; those with code cells are run when they are built, and an error, or text on stderr, is a warning.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = False  # an error is a warning that shows the traceback; -W ends the build
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_output_stderr = "error"
nb_merge_streams = True  # what a cell prints is one block, however long the cell takes

# The reference, from the docstrings.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_context = {"uses": uses.uses(HERE)}  # the pages that show a name at work
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88  # a longer one has a line for each parameter
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
doctest_global_setup = "import numpy as np\nimport symbreak as sb"

extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s")}

# Links to Python and NumPy go by lists kept here, so that nothing is fetched.
intersphinx_mapping = inventories.mapping()

# The parts for frameworks are read without them.
autodoc_mock_imports = ["torch", "transformers", "jax", "flax", "keras"]
_MockObject.__or__ = _MockObject.__ror__ = lambda self, other: self  # `Tensor | None`, as it stands in annotations
nitpick_ignore_regex = [("py:.*", r"(?:~?torch|~?jax|nn|Tensor|Generator)\b.*")]

nitpick_ignore = [
    ("py:class", "symbreak._monitor.MonitorRow"),  # a monitor's record; one class for all frameworks
    ("py:class", "symbreak._probe.Probe"),  # likewise what a probe gives
    ("py:class", "RuleLike"),  # within `RulesLike`, which the parts for frameworks take from another module
    ("py:class", "AbstractRecipe"),
    ("py:class", "symbreak.checkpoints._source.Source"),  # made by `open_checkpoint` alone
    ("py:class", "symbreak.checkpoints.wiring._spec.Statement"),  # a wiring is read and written as a whole
    ("py:class", "symbreak.checkpoints.wiring._spec.SpaceSpec"),
    ("py:class", "symbreak.engine._losses.Loss"),  # callers name a loss; the class is between network and trainer
    ("py:class", "symbreak.engine._adaptive.Moments"),  # the state that Adam keeps; a trainer hands it back unseen
    ("py:class", "symbreak.initializers._registry.C"),  # a type variable
]

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"symbreak {release}"
html_favicon = "_static/symbreak.svg"
html_static_path = ["_static"]
html_css_files = ["symbreak.css"]
html_js_files = ["accessible.js"]
html_theme_options = {"navigation_with_keys": True}
html_search_scorer = str(HERE / "_static" / "scorer.js")
html_show_sourcelink = False
html_copy_source = False
templates_path = ["_templates"]
copybutton_exclude = ".linenos, .gp, .go"
