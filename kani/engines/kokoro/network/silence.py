"""Silence inside an utterance: makes the quiet places at marks longer before the audio is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kani.engines.kokoro.network.parts import PredictedProsody

_HALF_FRAMES_A_SECOND = 80
LAG = 5
"""Half frames that the durations lag the audio by (60 ms, see ``timing``)."""

_QUIET = 0.5
"""Predicted energy up to which sound is 30 dB below the speech, or quieter."""

_SILENCE = -9.5
"""Energy that is predicted where nothing sounds."""


@dataclass(frozen=True, slots=True)
class Silence:
    """At least ``seconds`` of silence at the symbols [first, stop), which are marks and spaces."""

    first: int
    stop: int
    seconds: float


def with_silences(prosody: PredictedProsody, silences: Sequence[Silence]) -> PredictedProsody:
    """Return the prosody with so much silence at marks; ``prosody`` itself where there is enough.

    The silence is put at the place with the least energy. The symbol before the marks gets longer, so that
    the words' boundary (``timing.word_boundary``) is near the silence's end.
    """
    frames, energy = prosody.frames.copy(), prosody.energy[0]
    # In half frames, as the curves are; the first symbol is a pad.
    edges = np.concatenate([[0], 2 * np.cumsum(frames)])[1:]
    repeats, places = np.ones(edges[-1] // 2, np.int64), []
    loud = np.flatnonzero(energy > _QUIET)
    for one in silences:
        begin, end = edges[one.first], edges[one.stop]
        searched = max(begin - LAG, 0)
        place = searched + int(energy[searched : end - LAG + 3].argmin())
        at = int(np.searchsorted(loud, place))
        quiet = 0
        if 0 < at < len(loud) and loud[at] > place:
            quiet = int(loud[at] - loud[at - 1]) - 1
        count = round((one.seconds * _HALF_FRAMES_A_SECOND - quiet) / 2)
        if count > 0:
            taken = min(max((place + LAG) // 2, begin // 2), end // 2 - 1)
            repeats[taken] += count
            frames[one.first] += count
            places += [place] * 2 * count
    if not places:
        return prosody
    if prosody.asr.shape[2] != len(repeats):
        # A student's features, which have as many steps as its curves.
        repeats = np.repeat(repeats, 2)
    return replace(
        prosody,
        asr=np.repeat(prosody.asr, repeats, axis=2),
        pitch=np.insert(prosody.pitch, places, 0.0, axis=1),
        energy=np.insert(prosody.energy, places, _SILENCE, axis=1),
        frames=frames,
    )
