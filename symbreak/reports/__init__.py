"""Reports: what a diagnosis found, and how it is written as text, JSON and HTML."""

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

__all__ = ["Report", "Skipped", "TiedClass", "fold_units", "to_html", "to_text", "visible"]
