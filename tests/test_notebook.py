"""In a notebook every result shows itself: as HTML that is whole, says what the text says, and acts on no name."""

from html.parser import HTMLParser

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak._monitor import Monitor, Watched
from symbreak._probe import Recorder
from symbreak.checkpoints import wire
from symbreak.diagnosis import find_near_ties, find_ties

NAME = "<b>&\x1b[31m"
SEEN = "<b>&\\x1b[31m"  # how it is shown


class Fragment(HTMLParser):
    def __init__(self, markup):
        super().__init__()
        self.tags, self.text, self.open = set(), "", []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def network():
    return sb.chain([(np.full((4, 2), 0.5), np.zeros(4)), (np.ones((1, 4)), None)])


def trained():
    net = engine.mlp([1, 2, 1], init="he_normal", rng=0)
    return net, engine.train(net, [[1.0], [2.0]], [1.0, 3.0], optimizer=engine.SGD(0.1), steps=3)


def starts():
    return sb.restarts([1, 2, 1], [[1.0], [2.0]], [1.0, 3.0], starts=3, steps=3, rng=0)


def tied_network():
    net = engine.mlp([1, 2, 1], init=sb.Constant(0.5), rng=0)
    return engine.stability(net, [[1.0], [2.0]], [[1.0], [3.0]], optimizer=engine.SGD(0.1))


def recorded():
    recorder = Recorder()
    recorder.activations(NAME, np.ones((2, 3)))
    recorder.gradients(NAME, np.ones((2, 3)))
    return recorder.probe()


def watched():
    monitor = Monitor([Watched(NAME, (3, 2))], lambda name, index: np.ones((3, 2))[index], every=1)
    monitor.step()
    return monitor


def plan():
    return sb.plan({NAME: (4, 3), "b": (4,)}, {"b": "zeros", "*": "he_normal"})


def scaled():
    return sb.lsuv(lambda w: {NAME: w[NAME] @ np.ones((3, 5))}, {NAME: sb.HeNormal()((4, 3), rng=0)})


RESULTS = {
    "Report": (lambda: sb.diagnose({NAME: np.ones((3, 2))}), [SEEN, "SB101", "1 error; read 1 array"]),
    "TiedClass": (lambda: sb.diagnose(network()).classes[0], ["layers.0", "exchange", "0-3"]),
    "Ties": (lambda: find_ties(np.diag([1.0, 0.0])[[0, 0, 1]]), ["class of 2", "0, 1", "all zero"]),
    "NearTies": (lambda: find_near_ties(np.array([[1, 2], [1, 2.001]]), 0.01), ["2 units in 1 class", "0, 1", "0.000"]),
    "LayerGraph": (network, ["layers.0", "2 weights"]),
    "Wired": (lambda: wire({NAME: np.ones((3, 2))}), ["not known", SEEN]),
    "Plan": (plan, [SEEN, "HeNormal()", "2 parameters, 16 values"]),
    "Audit": (lambda: plan().audit({NAME: np.ones((4, 3), np.float32)}), [SEEN, "tied", "missing", "not as planned"]),
    "Audit, as planned": (lambda: plan().audit(plan().initialize(rng=0)), ["as planned"]),
    "Prescription": (
        lambda: sb.recipes.get("gpt2")({"h.0.attn.c_attn.weight": (4, 12), "h.0.mlp.c_fc.weight": (4, 16)}),
        ["h.0.attn.c_attn.weight", "Normal("],
    ),
    "History": (lambda: trained()[1], ["3 steps of SGD"]),
    "Restarts": (starts, ["3 starts", "median"]),
    "Minima": (lambda: starts().minima(), ["distinct minima"]),
    "Stability": (tied_network, ["growth a step", "SGD(learning_rate=0.1)"]),
    "ClassStability": (lambda: tied_network()[0], ["2 tied units of"]),
    "Probe": (recorded, [SEEN, "certified"]),
    "Monitor": (watched, [SEEN, "looked 1 time in 1 step"]),
    "LsuvResult": (scaled, [SEEN, "factor"]),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_shows_itself_in_a_notebook(name):
    make, said = RESULTS[name]
    markup = make()._repr_html_()
    fragment = Fragment(markup)
    assert "b" not in fragment.tags
    assert "\x1b" not in markup
    for text in said:
        assert text in fragment.text


def test_a_report_is_drawn_and_a_long_one_is_cut():
    arrays = {f"w{n}": np.repeat(np.eye(60, 30) + n, 2, axis=0) for n in range(120)}
    markup = sb.diagnose(arrays, tolerance=None).only(["SB102"])._repr_html_()
    assert markup.count("<tr>") == 101
    assert "and 20 more" in markup
    assert 0 < markup.count("<figure>") <= 3
    assert len(markup) < 500_000
