"""Runs sequences over Kani's slots, one by one and by a random schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kani.engines.kani.model.runner import Codes, Runner, Samples, SavedSlot
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.tokens import END_OF_TEXT, START_OF_TEXT, TokenLayout

GREEDY = Sampling(temperature=0.0)
Speaker = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A sequence to make."""

    words: int  # tokens of its text
    sampling: Sampling = GREEDY
    speaker: Speaker = ()


def prompt(layout: TokenLayout, words: int) -> list[int]:
    """A prompt around ``words`` tokens; the same number gives the same ones."""
    chance = random.Random(words)  # noqa: S311 - words, no secret
    return layout.prompt(
        [START_OF_TEXT, *(chance.randrange(END_OF_TEXT + 1, layout.text_vocabulary) for _ in range(words))]
    )


def admit(runner: Runner, slot: int, asked: Asked) -> None:
    """Read the prompt at once, and put the sequence into ``slot``."""
    prefill = runner.start_prefill([prompt(runner.layout, asked.words)], [asked.speaker])
    runner.prefill_chunk(prefill, runner.max_prompt_tokens)
    runner.admit(slot, prefill, 0, asked.sampling)


def alone(runner: Runner, asked: Asked, frames: int) -> tuple[Codes, Samples]:
    """Codes [frames, codebooks] and audio [samples] of a sequence by itself in slot 0."""
    admit(runner, 0, asked)
    made, pieces = [], []
    for _ in range(frames):
        frame = runner.begin_frame(1)
        codes = runner.end_frame(frame)
        made.append(codes[0])
        whole, places = runner.whole_frames, np.array([frame.place])
        pieces.append(runner.audio(places) if whole else runner.decode_audio([0], codes[:, None])[0])
        runner.advance(1)
    runner.release(0, 1)
    return np.array(made), np.concatenate(pieces)


def heard(runner: Runner, codes: Codes) -> Samples:
    """Audio [samples] of frames [frames, codebooks], decoded one by one as they are made."""
    prefill = runner.start_prefill([[0]])
    runner.prefill_chunk(prefill, 1)
    runner.admit(0, prefill, 0, GREEDY)
    pieces = [runner.decode_audio([0], frame[None, None]) for frame in codes]
    runner.release(0, 1)
    samples: Samples = np.concatenate(pieces, axis=1)[0]
    return samples


@dataclass
class _Sequence:
    asked: Asked
    said: list[Codes] = field(default_factory=list)
    saved: SavedSlot | None = None


def scheduled(runner: Runner, asked: Sequence[Asked], frames: int, seed: int) -> list[Codes]:
    """Codes of sequences that join, pause, go on and leave at random, up to ``frames`` each."""
    chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
    waiting = [_Sequence(each) for each in asked]
    every, running = list(waiting), list[_Sequence]()

    def leave(sequence: _Sequence) -> None:
        slot = running.index(sequence)
        runner.release(slot, len(running))
        running[slot] = running[-1]
        running.pop()

    while waiting or running:
        while waiting and len(running) < runner.slots and (not running or chance.random() < 0.5):
            sequence = waiting.pop(0)
            if sequence.saved is None:
                admit(runner, len(running), sequence.asked)
            else:
                runner.restore(len(running), sequence.saved)
            running.append(sequence)
        for sequence, frame in zip(running, runner.sample(len(running)), strict=True):
            sequence.said.append(frame)
        runner.advance(len(running))
        for sequence in [each for each in running if len(each.said) == frames or chance.random() < 0.1]:
            if len(sequence.said) < frames and chance.random() < 0.8:
                sequence.saved = runner.save(running.index(sequence))
                waiting.append(sequence)
            leave(sequence)
    return [np.array(sequence.said) for sequence in every]
