"""One call of the package's ``TTSModel.generate`` as steps. Runs only in the package's environment."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from kani.core.types import Samples

SKIPPED_FRAMES = 2
"""Frames at the beginning that the package's ``simple_generate`` leaves out, as they click."""

PADDING_BETWEEN = 1
"""Steps between two words besides those of the word's tokens, as in ``simple_generate``."""


class Missing(Enum):
    """Reason why a step has no audio."""

    YET = "the audio follows the text"
    TEXT = "more text is needed"
    MORE = "the speech has ended"


@dataclass(frozen=True, slots=True)
class Manner:
    """Options of one text's speech."""

    seed: int
    temperature: float
    guidance: float
    """Coefficient of a second pass without text and voice; 1 for none."""
    attributes: Any = None
    """The package's ``ConditionAttributes`` of a published embedding, if the model has them."""
    prefix: Any = None
    """Codes of a recording that the speech continues, [codebooks, frames]."""
    kept_frames: int = 0
    """Frames of the audio, from the first on, whose codes are kept."""


class _Closed(Exception):
    """Ends the package's call early."""


class Generation:
    """A call that goes on only within ``step``, so that several share one thread.

    The package's call keeps its loop: it runs in a thread that waits between two steps. Torch's random
    numbers are those of a call by itself. The model must have no other call meanwhile.
    """

    def __init__(self, model: Any, manner: Manner) -> None:
        """model: the package's ``TTSModel``."""
        self._model = replace(
            model,
            machine=_Machine(model.machine, self),
            temp=manner.temperature,
            cfg_coef=manner.guidance,
        )
        self._manner = manner
        self._go, self._given = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="kyutai", daemon=True)
        self._random: Any = None
        self._made: Samples | Missing = Missing.YET
        self._error: Exception | None = None
        self._closed = self._complete = self._begun = False
        self._frames = 0
        self._first = model.delay_steps + SKIPPED_FRAMES + self._prefix_frames
        self.state: Any = None
        """The package's ``State``, once it has one."""
        self.codes: list[Any] = []
        """Kept codes, a tensor [codebooks] for each frame."""
        self._waiting: list[Any] = []

    @property
    def _prefix_frames(self) -> int:
        return 0 if self._manner.prefix is None else int(self._manner.prefix.shape[1])

    def feed(self, written: Iterable[str], *, complete: bool) -> None:
        """Add words; complete: no more come. Not while a step runs."""
        from moshi.models.tts import script_to_entries

        model = self._model
        for word in written:
            self._waiting += script_to_entries(
                model.tokenizer,
                model.machine.token_ids,
                model.mimi.frame_rate,
                [word],
                # The speaker is told once.
                multi_speaker=model.multi_speaker and not self._begun,
                padding_between=PADDING_BETWEEN,
            )
            self._begun = True
        self._complete = complete

    def word_frames(self) -> list[int]:
        """Return the frame of the audio that each word begins with, of the words that have begun."""
        first = SKIPPED_FRAMES + self._prefix_frames
        return [] if self.state is None else [step - first for _, step in self.state.transcript]

    def step(self) -> Samples | Missing:
        """Make one step of 80 ms; returns its audio. Raises what the package raises."""
        import torch

        if self._random is None:
            torch.manual_seed(self._manner.seed)
            self._thread.start()
        else:
            _set_random(self._random)
        self._go.release()
        self._given.acquire()
        self._random = _get_random()
        if self._error is not None:
            raise self._error
        return self._made

    def close(self) -> None:
        """End the call, wherever it is."""
        self._closed = True
        if self._thread.is_alive():
            self._go.release()
            self._thread.join()

    def give(self, made: Samples | Missing) -> None:
        """End a step, and return in the next one. Called by the call's own thread."""
        self._made = made
        self._given.release()
        self._go.acquire()
        if self._closed:
            raise _Closed

    def wait_for_words(self) -> None:
        """Return once the words are there that the model reads ahead.

        Without them the package would take the text to have ended.
        """
        self.state.entries.extend(self._waiting)
        self._waiting.clear()
        while not self._complete and len(self.state.entries) <= self._model.machine.second_stream_ahead:
            self.give(Missing.TEXT)
            self.state.entries.extend(self._waiting)
            self._waiting.clear()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._closed:
                self._generate()
            self._made = Missing.MORE
        except _Closed:
            pass
        except Exception as error:  # whatever the package raises is told by the step
            self._error = error
        self._given.release()

    def _generate(self) -> None:
        import torch

        model, manner, prefixes = self._model, self._manner, None
        if manner.prefix is not None:
            zero = torch.full_like(manner.prefix[:1], model.machine.token_ids.zero)
            prefixes = [torch.cat([zero, manner.prefix])]
        attributes = [] if manner.attributes is None else [manner.attributes]
        with model.mimi.streaming(1):
            model.generate([[]], attributes, prefixes=prefixes, on_frame=self._add_frame)

    def _add_frame(self, frame: Any) -> None:
        """Decode a frame of codes [1, 1 + codebooks, 1], as ``simple_generate`` does."""
        model, made = self._model, None
        if self._frames >= model.delay_steps:
            made = model.mimi.decode(frame[:, 1:]).clip(-1, 1)[0, 0]
        at, end = self._frames - self._first, self.state.end_step
        self._frames += 1
        if made is None or at < 0 or (end is not None and at + self._prefix_frames >= end):
            self.give(Missing.YET)
            return
        if len(self.codes) < self._manner.kept_frames:
            self.codes.append(frame[0, 1:, 0].cpu())
        self.give(made.float().cpu().numpy())


class _Machine:
    """The package's ``StateMachine``, over a script that grows."""

    def __init__(self, machine: Any, generation: Generation) -> None:
        self._machine = machine
        self._generation = generation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def new_state(self, entries: Any) -> Any:
        self._generation.state = state = self._machine.new_state(entries)
        return state

    def process(self, step: int, state: Any, token: int) -> Any:
        self._generation.wait_for_words()
        return self._machine.process(step, state, token)


def _get_random() -> tuple[Any, ...]:
    import torch

    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    return torch.get_rng_state(), cuda


def _set_random(state: tuple[Any, ...]) -> None:
    import torch

    own, cuda = state
    torch.set_rng_state(own)
    if cuda is not None:
        torch.cuda.set_rng_state_all(cuda)
