"""Draws what a frame costs, by the python of an environment that has matplotlib.

``python -P kokoro_decoder_picture.py COSTS.npz OUT.png``; the file holds cores, and of each decoder
generator_NAME (rows of frames, milliseconds) and streams_NAME (rows of streams, processor seconds for a
second of audio, late pieces).
"""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

_NAMES = {"onnx": "ONNX int8", "fast": "fast"}
_COLOURS = {"onnx": "tab:grey", "fast": "tab:blue"}


def main(costs: str, out: str) -> None:
    """Run the command line."""
    mpl.use("Agg")
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    by_length, by_streams = figure.subplots(1, 2)
    with np.load(costs) as data:
        cores = int(data["cores"])
        lengths = {name: data[f"generator_{name}"] for name in _NAMES}
        streams = {name: data[f"streams_{name}"] for name in _NAMES}
    for name, points in lengths.items():
        by_length.plot(points[:, 0], points[:, 1], "o-", color=_COLOURS[name], label=_NAMES[name])
    ticks = lengths["fast"][:, 0]
    by_length.set(
        title="The generator alone, one thread",
        xlabel="frames heard of a window",
        ylabel="ms for a frame of 25 ms",
        xscale="log",
        xticks=ticks,
        xticklabels=[f"{tick:g}" for tick in ticks],
    )
    by_length.minorticks_off()
    for name, points in streams.items():
        count, cost, late = points.T
        by_streams.plot(count, cost, "-", color=_COLOURS[name], label=_NAMES[name])
        for smooth, fill in ((late == 0, _COLOURS[name]), (late > 0, "white")):
            by_streams.plot(
                count[smooth], cost[smooth], "o", markerfacecolor=fill, markeredgecolor=_COLOURS[name]
            )
    counts = max((points[:, 0] for points in streams.values()), key=len)
    dearest = max(points[:, 1].max() for points in streams.values())
    everybody = np.linspace(1, counts[-1] + 1, 200)
    by_streams.plot(everybody, cores / everybody, ":", color="tab:red", label=f"all that {cores} cores have")
    by_streams.set(
        title="The whole server, played at real time (hollow: pieces late)",
        xlabel="streams",
        xticks=counts,
        ylabel="processor seconds for a second of audio",
        ylim=(0, 1.3 * dearest),
    )
    for panel in (by_length, by_streams):
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(out, dpi=80, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(*sys.argv[1:])
