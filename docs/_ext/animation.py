"""The directive `tied-network`: two small networks in training, one tied and one not, behind a slider.

What is drawn is what the engine computes when the pages are built. Without scripts the last step is shown.
"""

import json

import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

import symbreak as sb
from symbreak import engine

HIDDEN, STEPS = 4, 600
FRAMES = sorted({int(step) for step in np.geomspace(1, STEPS, 48)} | {0})
INPUT, UNIT, OUTPUT = [(40, 70), (40, 150)], [(150, 25 + 57 * n) for n in range(HIDDEN)], [(260, 110)]
STARTS = (("Constant(0.5)", "all weights start at 0.5"), ("HeNormal()", "all weights start at random"))

SCRIPT = """
(() => {
  const box = document.currentScript.parentElement, frames = JSON.parse(box.dataset.frames);
  const slider = box.querySelector("input"), button = box.querySelector("button");
  const said = box.querySelector("output");
  const show = () => {
    const at = Number(slider.value);
    said.textContent = "step " + frames.steps[at];
    slider.setAttribute("aria-valuetext", said.textContent);
    frames.nets.forEach((net, number) => {
      const drawing = box.querySelectorAll("svg")[number];
      drawing.querySelectorAll("line").forEach((line, edge) => {
        const weight = net.weights[at][edge];
        line.setAttribute("stroke-width", Math.min(9, 0.5 + 3 * Math.abs(weight)));
        line.setAttribute("class", weight < 0 ? "minus" : "plus");
      });
      drawing.querySelector("text.loss").textContent = "loss " + net.losses[at].toFixed(3);
    });
  };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (slider.value === slider.max) slider.value = 0;
    button.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1; show();
      if (slider.value === slider.max) stop();
    }, 120);
  });
  slider.addEventListener("input", () => { stop(); show(); });
  box.querySelector(".controls").hidden = false;
  slider.value = 0;
  show();
})();
"""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("tied-network", TiedNetwork)
    return {"parallel_read_safe": True}


class TiedNetwork(Directive):
    """Train both networks and write them as drawings."""

    def run(self) -> list[nodes.Node]:
        nets = [trained(sb.Constant(0.5)), trained(sb.HeNormal())]
        return [nodes.raw("", html(nets), format="html")]


def trained(init: sb.AbstractInitializer) -> dict[str, list]:
    """Give the weights, edge by edge, and the loss at each frame."""
    x = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    y = np.array([[0.0], [1.0], [1.0], [0.0]])
    net = engine.mlp([2, HIDDEN, 1], init=init, activation="tanh", rng=3)
    found: dict[str, list] = {"weights": [], "losses": []}

    def look() -> None:
        parameters = net.parameters
        edges = [*parameters["layers.0.weight"].ravel(), *parameters["layers.1.weight"].ravel()]
        found["weights"].append([round(float(edge), 3) for edge in edges])
        found["losses"].append(round(float(np.square(net(x) - y).mean()), 4))

    look()
    engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=STEPS, callback=lambda step: at(step.number + 1, look))
    return found


def at(number: int, look) -> None:
    if number in FRAMES:
        look()


def drawing(net: dict[str, list], init: str, caption: str) -> str:
    """Draw the network at its last frame."""
    ends = [(source, unit) for unit in UNIT for source in INPUT] + [(unit, out) for out in OUTPUT for unit in UNIT]
    lines = "".join(
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke-width="{min(9, 0.5 + 3 * abs(weight)):.2f}" '
        f'class="{"minus" if weight < 0 else "plus"}"/>'
        for ((x1, y1), (x2, y2)), weight in zip(ends, net["weights"][-1], strict=True)
    )
    circles = "".join(f'<circle cx="{x}" cy="{y}" r="13"/>' for x, y in [*INPUT, *UNIT, *OUTPUT])
    return (
        f'<figure><svg class="drawing" viewBox="0 0 300 225" role="img" aria-label="A network of 2 inputs, {HIDDEN} '
        f'hidden units and an output; {caption}">{lines}{circles}'
        f'<text class="loss" x="260" y="215" text-anchor="middle">loss '
        f"{net['losses'][-1]:.3f}</text></svg><figcaption><code>{init}</code>: {caption}</figcaption></figure>"
    )


def html(nets: list[dict[str, list]]) -> str:
    frames = json.dumps({"steps": FRAMES, "nets": nets}, separators=(",", ":"))
    drawn = "".join(drawing(net, *start) for net, start in zip(nets, STARTS, strict=True))
    return (
        f'<div class="tied-network" data-frames=\'{frames}\'><div class="nets">{drawn}</div>'
        f'<div class="controls" hidden><button type="button">Play</button> <input type="range" min="0" '
        f'max="{len(FRAMES) - 1}" value="{len(FRAMES) - 1}" aria-label="step of the training"> '
        f"<output>step {STEPS}</output></div><script>{SCRIPT}</script></div>"
    )
