"""A card on paper: the Kani engine on a device that is only a clock, for what happens before and after it.

It takes the time of an H200's frames (docs/kani.md) and speaks noise, with Kani's scheduler, frames, slots,
chunks and cancels. Nothing is computed and nothing crosses a bus: prompts are read, slots moved and results
copied at no cost, so first audio and the time beside the frames are lower bounds of a card's.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.model.graphs import Frame
from kani.engines.kani.model.loader import MAX_LEAD_S, MAX_PREFILL_PROMPTS, MAX_PROMPT_TOKENS, KaniModel
from kani.engines.kani.model.runner import Codes, Runner, Samples
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.scheduler import Scheduler
from kani.engines.kani.model.sequence import End, Utterance
from kani.engines.kani.model.tokens import END_OF_TEXT, START_OF_TEXT, TokenLayout
from kani.engines.kani.plugin import KaniSettings
from kani.engines.plugin import EnginePlugin, later

NAME = "paper"
RATE, FRAME_SAMPLES, MAX_FRAMES = 22_050, 1764, 375
LAYOUT = TokenLayout(64_400, 4, 4032)

_VOICES = (1, 16, 64, 256, 512, 1024, 2048)
_FRAME_MS = (6.6, 7.8, 9.3, 14.8, 22.0, 36.0, 72.0)
"""Codes and audio of a frame on an H200, by voices; the last is the one before it doubled."""
_CHARACTERS_A_FRAME = 1.1
_LEVEL = 0.05
_KEPT = 26
"""Frames with audio that is kept, as a runner has them: together too large for a processor's cache."""


@dataclass
class _Prompts:
    lengths: list[int]
    done: bool = False


@dataclass
class Clock:
    """Seconds of the card; begun: of each frame its voices, and the thread's processor time by then."""

    busy_s: float = 0.0
    idle_s: float = 0.0  # between two frames
    begun: list[tuple[int, float]] = field(default_factory=list)


class PaperRunner:
    """Does what ``Runner`` does on a GPU, and takes its time."""

    layout = LAYOUT
    whole_frames = True
    samples_per_frame = FRAME_SAMPLES
    max_frames = MAX_FRAMES
    max_prompt_tokens = MAX_PROMPT_TOKENS
    speaker_size = 0

    def __init__(self, slots: int, *, device: bool = True) -> None:
        """device: False for frames that take no time."""
        self.slots, self.clock = slots, Clock()
        self._device = device
        self._noise = np.random.default_rng(0)
        self._kept = self._noise.uniform(-_LEVEL, _LEVEL, (_KEPT * slots, FRAME_SAMPLES)).astype(np.float32)
        self._left = np.zeros(slots, np.int64)  # frames until the end of speech
        self._place, self._free_at = 0, 0.0
        # When each frame is made, and who has no such frame, by places.
        self._making: dict[int, tuple[float, np.ndarray]] = {}

    def warm_up_thread(self) -> None:
        """Nothing to do."""

    def start_prefill(self, prompts: Sequence[Sequence[int]], speakers: object) -> _Prompts:
        """See Runner."""
        return _Prompts([len(prompt) for prompt in prompts])

    def prefill_chunk(self, prefill: _Prompts, tokens: int) -> None:
        """See Runner."""
        prefill.done = True

    def admit(self, slot: int, prefill: _Prompts, row: int, sampling: Sampling) -> None:
        """See Runner; the speech is as long as its text."""
        self._left[slot] = round(prefill.lengths[row] / _CHARACTERS_A_FRAME)

    def release(self, slot: int, count: int) -> None:
        """See Runner."""
        self._left[slot] = self._left[count - 1]

    def release_all(self) -> None:
        """See Runner."""

    def save(self, slot: int) -> int:
        """See Runner."""
        return int(self._left[slot])

    def restore(self, slot: int, saved: int) -> None:
        """See Runner."""
        self._left[slot] = saved

    def begin_frame(self, count: int) -> Frame:
        """See Runner; the frame is made after those before it."""
        now = time.perf_counter()
        took_s = float(np.interp(count, _VOICES, _FRAME_MS)) / 1000 if self._device else 0.0
        if self.clock.begun:
            self.clock.idle_s += max(now - self._free_at, 0.0)
        self._free_at = max(now, self._free_at) + took_s
        self.clock.busy_s += took_s
        self.clock.begun.append((count, time.thread_time()))
        self._left[:count] -= 1
        self._place = (self._place + self.slots) % len(self._kept)
        self._making[self._place] = self._free_at, self._left[:count] < 0
        return Frame(self._place, count, None)

    def end_frame(self, frame: Frame) -> Codes:
        """See Runner."""
        at, ended = self._making[frame.place]
        if (left_s := at - time.perf_counter()) > 0:
            time.sleep(left_s)
        codes = self._noise.integers(0, LAYOUT.codebook_size, (frame.count, LAYOUT.codebooks))
        codes[ended, 0] = LAYOUT.codebook_size
        return codes

    def audio(self, places: Codes) -> Samples:
        """See Runner."""
        return self._kept.take(places, axis=0).ravel()

    def sounding(self, places: Codes) -> Codes:
        """See Runner."""
        return np.full(len(places), FRAME_SAMPLES)

    def advance(self, count: int) -> None:
        """See Runner."""


def scheduler(runner: PaperRunner) -> Scheduler:
    """Kani's scheduler for the card."""
    return Scheduler(
        cast("Runner", runner),
        sample_rate=RATE,
        frame_s=FRAME_SAMPLES / RATE,
        max_lead_s=MAX_LEAD_S,
        max_prefill_prompts=MAX_PREFILL_PROMPTS,
        prefill_tokens_per_step=MAX_PROMPT_TOKENS,
    )


class PaperEngine(KaniEngine):
    """The Kani engine with the card; ``KANI_MAX_CONCURRENT`` is its number of slots."""

    def _load(self) -> KaniModel:
        runner = PaperRunner(self._resources.max_concurrent or 256)
        checkpoint = SimpleNamespace(
            **dict.fromkeys(("speakers", "language_tags", "card_languages"), ()),
            top_k=50,
            text_tokens=lambda text: [START_OF_TEXT, *(END_OF_TEXT + 1 for _ in text)],
        )
        codec = SimpleNamespace(config=SimpleNamespace(sample_rate=RATE, frame_s=FRAME_SAMPLES / RATE))
        model: Any = None
        parts: list[Any] = [
            NAME,
            checkpoint,
            LAYOUT,
            model,
            codec,
            runner,
            scheduler(runner),
            "on paper",
            None,
        ]
        return KaniModel(*parts)


ENGINE = EnginePlugin(NAME, KaniSettings, later("benchmarks.kani.paper:PaperEngine"))


@dataclass
class Spoken:
    """Audio that listeners got who take it at once."""

    clock: Clock
    first_s: list[float] = field(default_factory=list)  # until each one's first audio
    late: int = 0  # listeners with a gap, had they played at once
    wall_s: float = 0.0


def together(voices: int, frames: int = 100, *, device: bool = True) -> Spoken:
    """Speak as many utterances of ``frames`` frames at once, in this process."""
    runner = PaperRunner(voices, device=device)
    kani, spoken = scheduler(runner), Spoken(runner.clock)
    over, left, begun = threading.Event(), [voices], time.perf_counter()
    prompt = (END_OF_TEXT + 1,) * math.ceil((frames + 1) * _CHARACTERS_A_FRAME)

    def speak(seed: int) -> None:
        plays_until = 0.0
        gap = False

        def listener(event: Samples | End) -> None:
            nonlocal plays_until, gap
            if isinstance(event, End):
                spoken.late += gap
                left[0] -= 1
                if not left[0]:
                    over.set()
                return
            kani.acknowledge(sequence, len(event))
            now = time.perf_counter() - begun
            if not plays_until:
                spoken.first_s.append(now)
                plays_until = now
            gap |= now > plays_until
            plays_until += len(event) / RATE

        sequence = kani.submit(Utterance(prompt, Sampling(seed=seed), frames, frames), listener)

    for seed in range(voices):
        speak(seed)
    kani.start()
    over.wait()
    spoken.wall_s = time.perf_counter() - begun
    kani.stop()
    return spoken


def step_ms(voices: int) -> float:
    """Processor time of the scheduler's thread for a step of as many voices; frames take no time."""
    times = [at for count, at in together(voices, device=False).clock.begun if count == voices]
    return 1000 * (times[-1] - times[0]) / (len(times) - 1)
