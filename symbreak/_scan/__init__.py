"""Scans: every array of every saved file that some paths stand for, judged in order, by one worker or many."""

from ._compare import compare as compare
from ._entries import Entry as Entry
from ._entries import list_entries as list_entries
from ._follow import find_runs as find_runs
from ._follow import one_run as one_run
from ._follow import with_growth as with_growth
from ._guard import guarded as guarded
from ._judge import UNREADABLE as UNREADABLE
from ._judge import ConfigLike as ConfigLike
from ._judge import Layouts as Layouts
from ._judge import Options as Options
from ._judge import WiringLike as WiringLike
from ._judge import judge_named as judge_named
from ._judge import unread as unread
from ._kept import Kept as Kept
from ._pictures import bounded as bounded
from ._pictures import with_network_pictures as with_network_pictures
from ._pictures import with_pictures as with_pictures
from ._pictures import with_widths as with_widths
from ._run import scan as scan
from ._step import Step as Step
from ._step import joined as joined
from ._wired import judge_found as judge_found
from ._wired import judge_wired as judge_wired
from ._wired import read_wired as read_wired
