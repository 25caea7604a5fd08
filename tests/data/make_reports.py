"""Write `tests/data/reports/`: one report in every format, as the tests compare them.

Look at what changed before it is committed: these files are what people and services get.
"""

import pathlib

import numpy as np

import symbreak as sb
from symbreak.reports import Growth, Report, Skipped, to_github, to_markdown, to_page, to_sarif, to_text

FOLDER = pathlib.Path(__file__).parent / "reports"
FORMATS = {
    "text.txt": to_text,
    "colour.txt": lambda report: to_text(report, colour=True),
    "json.json": Report.to_json,
    "page.html": to_page,
    "notebook.html": Report._repr_html_,
    "sarif.json": lambda report: to_sarif(report, "0.1.0"),
    "github.txt": to_github,
    "markdown.md": to_markdown,
}


def sample() -> Report:
    """Make a report of two files with findings of every level, alike ones, a network, hostile names and a bad file."""
    init, key = sb.HeNormal(), sb.Key(0)
    arrays = {f"blocks.{number}.mlp.weight": np.full((8, 4), 0.5, np.float32) for number in range(5)}
    tied = init((12, 6), rng=key["tied"])
    tied[[3, 7]] = tied[1]
    arrays["head.weight"] = tied
    hostile = {"a|b\x1b[31m<img src=x>\u202e`@me`\n::error::": np.ones((4, 3), np.float32)}
    graph = sb.chain([(np.repeat(init((3, 5), rng=key["up"]), 2, axis=0), None), (np.ones((2, 6)), None)])
    network = sb.diagnose(graph)
    parts = [_placed(sb.diagnose(arrays), "runs/a.npz"), _placed(sb.diagnose(hostile), "runs/b, c.npz")]
    faults = Report(
        (sb.Finding.of("SB301", "cut.npz", "the zip is truncated"),), (Skipped("cut.npz", "the zip is truncated"),)
    )
    return Report.merged([*parts, _placed(network, "net.onnx"), faults, Report(files=("cut.npz",), growth=_growths())])


def _growths() -> tuple[Growth, ...]:
    """Make up what two runs show: units that come apart, that don't, and that will."""
    steps, run = (
        (0, 100, 200, 300, 400),
        ("step", "runs/step-*.npz", tuple(f"runs/step-{n}.npz" for n in range(0, 500, 100))),
    )
    return (
        Growth("blocks.0.mlp.weight, axis 0", 8, 1, steps, (0.0, 2e-8, 3e-6, 5e-4, 0.4), *run),
        Growth("head.weight, axis 0", 3, 1, steps, (0.0, 0.0, 0.0, 0.0, 0.0), *run),
        Growth("<b>\u202e, axis 1", 4, 2, (1, 2, 4), (1e-7, 1e-6, 1e-4), "epoch", "e-*.npz", ("e-1", "e-2", "e-4")),
    )


def _placed(report: Report, path: str) -> Report:
    """Give every place in a report the name of a file."""
    from dataclasses import replace

    return replace(
        report,
        findings=tuple(replace(finding, where=f"{path}: {finding.where}") for finding in report.findings),
        partition={f"{path}: {name}": labels for name, labels in report.partition.items()},
        files=(path,),
        spaces=tuple(space._replace(where=f"{path}: {space.where}") for space in report.spaces),
        pictures=tuple(replace(picture, where=f"{path}: {picture.where}") for picture in report.pictures),
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, write in FORMATS.items():
        (FOLDER / name).write_text(write(sample()) + "\n", "utf-8")
