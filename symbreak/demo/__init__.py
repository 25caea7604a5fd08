"""One network trained on handwritten digits from two starts: what a constant start costs, on real data."""

from ._digits import Digits as Digits
from ._digits import load_digits as load_digits
from ._files import claimed as claimed
from ._outcome import Outcome as Outcome
from ._outcome import save_and_judge as save_and_judge
from ._picture import draw as draw
from ._picture import save_picture as save_picture
from ._training import HIDDEN as HIDDEN
from ._training import STARTS as STARTS
from ._training import STEPS as STEPS
from ._training import Run as Run
from ._training import Start as Start
from ._training import Tell as Tell
from ._training import train_from as train_from
