"""One live stream at the pace of speech, in a time of its own: what else the machine does changes nothing.

Passes are computed, and each counts as a given number of seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from kani.core.recognizer import RecognitionEvent
from kani.core.types import Samples
from kani.runtime.recognition.passes import PassInput, PassResult
from kani.runtime.recognition.stream import STEP_SAMPLES, RecognitionStream
from kani.runtime.voice_detector import SAMPLE_RATE, VoiceStream

Timed = tuple[float, RecognitionEvent]
"""Seconds since the recording began, and what is told then."""


def heard_live(
    samples: Samples,
    language: str,
    voices: VoiceStream,
    recognize: Callable[[PassInput], PassResult],
    pass_s: float,
) -> tuple[list[Timed], int]:
    """Return the events of a recording that is played to an idle recogniser, and the number of passes."""
    now_s, running, passes = 0.0, False, 0
    stream = RecognitionStream(voices, language, lambda: now_s)
    # Ends of pieces, and of passes; the number keeps the order of what comes at the same time.
    coming: list[tuple[float, int, Samples | PassResult | None]] = []
    for at in range(0, len(samples), STEP_SAMPLES):
        piece = samples[at : at + STEP_SAMPLES]
        coming.append(((at + len(piece)) / SAMPLE_RATE, len(coming), piece))
    coming.append((len(samples) / SAMPLE_RATE, len(coming), None))
    number, waiting, events = len(coming), deque[Samples | None](), list[Timed]()
    while coming:
        now_s, _, what = heapq.heappop(coming)
        if isinstance(what, PassResult):
            running = False
            stream.finish_pass(what)
        else:
            waiting.append(what)
        while True:
            events += [(now_s, event) for event in stream.events]
            stream.events.clear()
            if stream.pass_due:
                running, passes, number = True, passes + 1, number + 1
                heapq.heappush(coming, (now_s + pass_s, number, recognize(stream.begin_pass())))
            if not waiting or stream.full:
                break
            piece_or_end = waiting.popleft()
            if piece_or_end is None:
                stream.end()
            else:
                stream.feed(piece_or_end)
    assert stream.finished and not running
    return events, passes
