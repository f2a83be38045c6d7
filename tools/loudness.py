"""Measures how loud speech is: integrated loudness and true peak as ITU-R BS.1770 has them, by FFmpeg."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import av
import numpy as np

from kani.core.types import Samples

_BLOCK = 4800


class Loudness(NamedTuple):
    """Loudness of some speech."""

    lufs: float  # integrated
    true_peak_db: float


def loudness(samples: Samples, sample_rate: int) -> Loudness:
    """Measure samples at ``sample_rate`` hertz, 0.4 s or more."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=sample_rate, layout="mono")
    # BS.1770's filters and peaks are defined at 48 kHz.
    nodes = [source, graph.add("aresample", "48000"), graph.add("ebur128", "metadata=1:peak=true")]
    nodes.append(graph.add("abuffersink"))
    for node, following in pairwise(nodes):
        node.link_to(following)
    graph.configure()
    found: dict[str, str] = {}
    for at in range(0, len(samples), _BLOCK):
        block = np.ascontiguousarray(samples[at : at + _BLOCK], np.float32)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
        frame.sample_rate = sample_rate
        source.push(frame)
        found |= _measured(graph)
    source.push(None)
    found |= _measured(graph)
    peak = max(float(found["lavfi.r128.true_peaks_ch0"]), 1e-9)
    return Loudness(float(found["lavfi.r128.I"]), 20 * math.log10(peak))


def _measured(graph: av.filter.Graph) -> dict[str, str]:
    found: dict[str, str] = {}
    while True:
        try:
            found |= graph.pull().metadata
        except (av.error.BlockingIOError, av.error.EOFError):
            return found
