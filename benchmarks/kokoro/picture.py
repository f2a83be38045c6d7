"""Draw the seams between windows, by the python of an environment that has matplotlib.

``python -P picture.py SPEECH.npz OUT.png``; the file holds whole and windows (float32, of the same
length), rate (hertz), seams (seconds) and title.
"""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

WINDOW, HOP = 1024, 96
_RANGE_DB, _DIFFERENCE_DB = 80.0, 20.0
_HIGHEST_KHZ = 8.0


def power_db(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """A spectrogram [frequencies, frames] in decibels, the samples padded so that frames are centred."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW)
    return np.asarray(10 * np.log10(np.square(np.abs(np.fft.rfft(frames))).T + 1e-9))


def main(speech: str, out: str) -> None:
    """Run the command line."""
    mpl.use("Agg")
    with np.load(speech) as data:
        whole, windows = power_db(data["whole"]), power_db(data["windows"])
        rate, seams, title = float(data["rate"]), data["seams"], str(data["title"])
        extent = (0.0, len(data["whole"]) / rate, 0.0, rate / 2000)
    loudest = float(whole.max())
    floor = loudest - _RANGE_DB
    # Differences of inaudible values mean nothing.
    difference = np.maximum(windows, floor) - np.maximum(whole, floor)
    figure = Figure(figsize=(9, 8), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(3, 1, sharex=True)
    shown = (
        ("decoded whole", whole, "magma", floor, loudest, "dB"),
        ("decoded in windows", windows, "magma", floor, loudest, "dB"),
        ("windows − whole", difference, "RdBu_r", -_DIFFERENCE_DB, _DIFFERENCE_DB, "dB"),
    )
    for panel, (name, values, colours, low, high, unit) in zip(panels, shown, strict=True):
        image = panel.imshow(
            values, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=low, vmax=high
        )
        figure.colorbar(image, ax=panel, label=unit, pad=0.01)
        panel.set(title=name, ylabel="kHz", ylim=(0, _HIGHEST_KHZ))
        for seam in seams:
            # Beside the picture, not across it: what is to be seen is that nothing is there.
            panel.axvline(seam, ymin=0.94, color="tab:green", linewidth=2)
    panels[-1].set_xlabel("s (green: where two windows meet)")
    figure.savefig(out, dpi=75, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(*sys.argv[1:])
