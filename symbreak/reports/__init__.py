"""Reports: what a diagnosis found, written as text, JSON, HTML, SARIF, Markdown and annotations of GitHub's."""

import typing as _typing

from symbreak._growth import Growth as Growth
from symbreak._lazy import names_from as _names_from
from symbreak._visible import visible as visible

from ._html import to_html as to_html
from ._picture import DISTANCES as DISTANCES
from ._picture import WEIGHTS as WEIGHTS
from ._picture import Picture as Picture
from ._report import Report as Report
from ._report import Skipped as Skipped
from ._report import Space as Space
from ._report import TiedClass as TiedClass
from ._text import fold_units as fold_units
from ._text import to_text as to_text

if _typing.TYPE_CHECKING:
    from ._github import to_github as to_github
    from ._github import to_markdown as to_markdown
    from ._page import to_page as to_page
    from ._places import split_files as split_files
    from ._places import split_place as split_place
    from ._places import tensor_of as tensor_of
    from ._sarif import relative as relative
    from ._sarif import to_sarif as to_sarif

__all__ = [
    "Growth",
    "Picture",
    "Report",
    "Skipped",
    "Space",
    "TiedClass",
    "fold_units",
    "to_github",
    "to_html",
    "to_markdown",
    "to_page",
    "to_sarif",
    "to_text",
    "visible",
]


if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    # Formats of files: most reports are read as text, or in a notebook.
    __getattr__ = _names_from(
        __name__,
        {
            "relative": "_sarif",
            "split_files": "_places",
            "split_place": "_places",
            "tensor_of": "_places",
            "to_github": "_github",
            "to_markdown": "_github",
            "to_page": "_page",
            "to_sarif": "_sarif",
        },
    )
