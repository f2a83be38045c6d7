"""Draws what each emotion changes, run by the Python of an environment with matplotlib."""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

# Name, unit, and whether it is a factor, drawn in percent.
_MEASURES = (
    ("rate", "%", True),
    ("median pitch", "semitones", False),
    ("pitch range", "%", True),
    ("loudness", "dB", False),
    ("brightness", "dB", False),
)
_COLUMNS = 4


def main(emotions: str, out: str) -> None:
    """The command line."""
    mpl.use("Agg")
    colours = mpl.colormaps["tab10"]
    with np.load(emotions) as data:
        names = [str(name) for name in data["names"]]
        mean, spread = data["mean"], data["spread"]
        title, hop_s = str(data["title"]), float(data["hop_s"])
        melodies = [data[f"pitch_{name}"] for name in names]
    figure = Figure(figsize=(12, 9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(5, 4))
    above.suptitle(f"The melody of «{title}» (grey: neutral)")
    panels = above.subplots(-(-len(names) // _COLUMNS), _COLUMNS, sharex=True, sharey=True).ravel()
    for at, (panel, name, melody) in enumerate(zip(panels, names, melodies, strict=False)):
        for hertz, colour in ((melodies[0], "0.75"), (melody, colours(at))):
            panel.plot(np.arange(len(hertz)) * hop_s, hertz, ".", markersize=2, color=colour)
        panel.set(
            title=name, yscale="log", yticks=(100, 150, 200, 300), yticklabels=("100", "150", "200", "300")
        )
        panel.minorticks_off()
        panel.label_outer()
    for panel in panels[-_COLUMNS:]:
        panel.set_xlabel("s")
    for panel in panels[::_COLUMNS]:
        panel.set_ylabel("Hz")
    below.suptitle("Against neutral: mean of 20 sentences, whiskers ± one standard deviation over them")
    for at, (panel, (name, unit, factor)) in enumerate(zip(below.subplots(1, 5), _MEASURES, strict=True)):
        values, whiskers = mean[1:, at], spread[1:, at]
        if factor:
            values, whiskers = 100 * np.expm1(values), 100 * np.exp(values) * whiskers
        panel.barh(names[1:], values, xerr=whiskers, color=[colours(row) for row in range(1, len(names))])
        panel.axvline(0, color="0.3", linewidth=0.8)
        panel.set(title=name, xlabel=unit)
        panel.invert_yaxis()
        panel.label_outer()
    figure.savefig(out, dpi=80, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(*sys.argv[1:])
