"""The audio that a pause is judged by."""

from __future__ import annotations

import numpy as np

from kani.core.turns.recent_audio import RecentAudio


def test_long_speech_is_forgotten_but_for_its_last_seconds() -> None:
    audio = RecentAudio(sample_rate=100, kept_s=2.0, at=50)
    for start in range(50, 1050, 40):
        audio.add(np.arange(start, start + 40, dtype=np.float32))
        audio.forget(start)
    assert sum(map(len, audio._pieces)) < 200 + 2 * 40
    assert audio.before(1000).tolist() == list(range(800 + 10, 1000))
