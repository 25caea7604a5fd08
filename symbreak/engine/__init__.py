"""A small backprop engine without autograd, to read, and to test on what is claimed of ties."""

from ._history import Diverged as Diverged
from ._history import History as History
from ._layers import AbstractLayer as AbstractLayer
from ._layers import Backward as Backward
from ._layers import Dense as Dense
from ._mlp import mlp as mlp
from ._network import Gradients as Gradients
from ._network import Network as Network
from ._network import gradients as gradients
from ._optimizers import SGD as SGD
from ._optimizers import AbstractOptimizer as AbstractOptimizer
from ._train import Step as Step
from ._train import train as train
