"""Plots word time errors, run by the Python of an environment with matplotlib."""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

_SHOWN_MS = 250.0


def main(errors: str, out: str) -> None:
    """The command line."""
    mpl.use("Agg")
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    with np.load(errors) as ways:
        for name in ways.files:
            off = np.sort(ways[name]) * 1000
            share = np.arange(1, len(off) + 1) / len(off) * 100
            style = "-" if name.startswith("aligned") else "--"
            axes.step(off, share, style, where="post", label=name)
    axes.axhline(95, color="grey", linewidth=0.8, linestyle=":")
    axes.set(
        xlim=(0, _SHOWN_MS),
        ylim=(0, 100),
        xlabel="error of a word's start, at most (ms)",
        ylabel="% of the words (dotted: 95)",
        title="Words found in speech whose times are hidden",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(out, dpi=90, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(*sys.argv[1:])
