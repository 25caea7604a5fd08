"""A small backprop engine without autograd, to read, and to test on what is claimed of ties."""

from ._adaptive import Adam as Adam
from ._adaptive import AdamW as AdamW
from ._adaptive import RMSProp as RMSProp
from ._clipping import AbstractClip as AbstractClip
from ._clipping import ClipNorm as ClipNorm
from ._clipping import ClipValue as ClipValue
from ._history import Diverged as Diverged
from ._history import History as History
from ._layers import AbstractLayer as AbstractLayer
from ._layers import Backward as Backward
from ._layers import Dense as Dense
from ._mlp import mlp as mlp
from ._muon import Muon as Muon
from ._network import Gradients as Gradients
from ._network import Network as Network
from ._network import gradients as gradients
from ._optimizers import SGD as SGD
from ._optimizers import AbstractOptimizer as AbstractOptimizer
from ._optimizers import Momentum as Momentum
from ._optimizers import Nesterov as Nesterov
from ._schedules import AbstractSchedule as AbstractSchedule
from ._schedules import CosineDecay as CosineDecay
from ._schedules import LinearWarmup as LinearWarmup
from ._schedules import StepDecay as StepDecay
from ._train import Step as Step
from ._train import train as train
