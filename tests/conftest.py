"""What a run of the tests holds: Hypothesis profiles, how many cases of tests that have very many, and its coverage.

`fast` is the profile by default; `deep` and `brief` go by name (`pytest --hypothesis-profile=deep`). Of tests that are
marked `exhaustive` every third case is run; `pytest -m exhaustive` runs all of them.
"""

import inspect
import re
import sys
from collections import Counter
from functools import cache

from hypothesis import HealthCheck, settings

# Examples are of very different sizes, so a deadline would time the machine and not the code.
settings.register_profile("fast", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("brief", settings.get_profile("fast"), max_examples=10)
settings.register_profile("deep", max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("fast")

EXHAUSTIVE, THIN = 3, 9  # of so many cases of a test one is run
FRAMEWORKS = {"torch", "jax", "keras"}  # folders of tests that need one
# What a test says that runs where a framework is installed, and what a file says outside of its tests.
NEEDS = re.compile(r"importorskip|find_spec|torch|jax|flax|optax|keras")
FILE_NEEDS = re.compile(r"importorskip|find_spec")
OUTSIDE = re.compile(r"^(?!def test|@|\s).*(?:\n(?=\s).*)*", re.MULTILINE)  # a statement with what is indented below it


def pytest_addoption(parser):
    parser.addoption(
        "--thin",
        action="store_true",
        help="of tests that run in every environment, run every ninth case and no property: they were run in another",
    )


def pytest_collection_modifyitems(config, items):
    chosen = "exhaustive" in config.option.markexpr
    seen, kept, left = Counter(), [], []
    for item in items:
        thin = config.option.thin and runs_everywhere(item.path, item.function)
        name = item.nodeid.partition("[")[0]
        place, seen[name] = seen[name], seen[name] + 1
        exhaustive = item.get_closest_marker("exhaustive") and not chosen
        every = THIN if thin else EXHAUSTIVE if exhaustive else 1
        dropped = place % every or (thin and item.get_closest_marker("hypothesis"))
        (left if dropped else kept).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def runs_everywhere(path, function):
    """Whether neither a test nor its file needs a framework."""
    written = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return not (needs_framework(path) or NEEDS.search(inspect.getsource(inspect.unwrap(written))))


@cache
def needs_framework(path):
    """Whether a file, outside of its tests, looks for what is installed."""
    outside = "\n".join(OUTSIDE.findall(path.read_text("utf-8")))
    return path.parent.name in FRAMEWORKS or FILE_NEEDS.search(outside) is not None


def pytest_sessionfinish():
    """Keep what coverage has measured: a worker is ended ten seconds later, whether it has kept it or not."""
    if "coverage" in sys.modules and (measured := sys.modules["coverage"].Coverage.current()) is not None:
        measured.save()
