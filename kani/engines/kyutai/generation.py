"""The package's ``TTSModel.generate`` a step at a time. Runs only in the package's environment."""

from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from kani.core.recognizer import STEP_S
from kani.core.types import Samples

SKIPPED_FRAMES = 2
"""Frames at the beginning that the package's ``simple_generate`` leaves out, as they click."""

PADDING_BETWEEN = 1
"""Steps between two words besides those of the word's tokens, as in ``simple_generate``."""


@dataclass(frozen=True, slots=True)
class Manner:
    seed: int
    temperature: float
    guidance: float  # coefficient of a second pass without text and voice; 1 for none
    attributes: Any = None
    """The package's ``ConditionAttributes`` of a published embedding, if the model has them."""
    prefix: Any = None  # codes of a recording that the speech continues, [codebooks, frames]
    kept_frames: int = 0  # frames with kept codes, from the audio's first on


class Generation:
    """One text's speech, as the package's ``generate`` makes it of the whole text.

    Its makers' streaming script steps likewise. Torch's random numbers are those of a call by itself. The
    model must have no other call before ``close``.
    """

    def __init__(self, model: Any, manner: Manner) -> None:
        """model: the package's ``TTSModel``."""
        import torch
        from moshi.models import LMGen
        from moshi.models.tts import _delayed, _make_null

        self._model, self._lm, self._manner = model, model.lm, manner
        self._tokens = model.machine.token_ids
        self._state = model.machine.new_state([])
        self._begun = self._complete = False
        self._offset = self._frames = 0
        self.codes: list[Any] = []  # kept codes, a tensor [codebooks] for each frame
        self._prefix_frames, self._forced, masked = 0, deque[Any](), None
        if manner.prefix is not None:
            self._prefix_frames = int(manner.prefix.shape[1])
            delays = [delay + model.delay_steps for delay in self._lm.delays[self._lm.audio_offset :]]
            self._forced.extend(_delayed(manner.prefix, delays, self._tokens.ungenerated).t())
            masked = [self._prefix_frames + model.delay_steps]
        attributes = [] if manner.attributes is None else [manner.attributes]
        if manner.guidance != 1:
            attributes += _make_null(attributes)
        self._lm.dep_q = model.n_q
        self._first = model.delay_steps + SKIPPED_FRAMES + self._prefix_frames
        with torch.no_grad(), ExitStack() as opened:
            torch.manual_seed(manner.seed)
            self._generator = LMGen(
                self._lm,
                temp=manner.temperature,
                temp_text=manner.temperature,
                cfg_coef=manner.guidance,
                condition_tensors=self._lm.condition_provider.prepare_and_provide(attributes),
                on_text_hook=self._choose_text,
                on_audio_hook=self._choose_codes,
                cfg_is_masked_until=masked,
                cfg_is_no_text=True,
            )
            opened.enter_context(self._generator.streaming(1))
            opened.enter_context(model.mimi.streaming(1))
            self._opened = opened.pop_all()
        self._random = _random_state()

    def feed(self, written: Iterable[str], *, complete: bool) -> None:
        """Add words; complete: no more come."""
        from moshi.models.tts import script_to_entries

        model = self._model
        for word in written:
            self._state.entries += script_to_entries(
                model.tokenizer,
                self._tokens,
                model.mimi.frame_rate,
                [word],
                # The speaker is told once.
                multi_speaker=model.multi_speaker and not self._begun,
                padding_between=PADDING_BETWEEN,
            )
            self._begun = True
        self._complete = complete

    @property
    def hungry(self) -> bool:
        """True if the next step needs more words: those that the model reads ahead.

        Without them the package would take the text to have ended.
        """
        ahead: int = self._model.machine.second_stream_ahead
        return not self._complete and len(self._state.entries) <= ahead

    @property
    def ended(self) -> bool:
        end = self._state.end_step
        return end is not None and self._frames - self._first + self._prefix_frames >= end

    def word_starts(self) -> list[float]:
        """Return the seconds of the audio at which the words that have begun do so."""
        first = SKIPPED_FRAMES + self._prefix_frames
        return [max((step - first) * STEP_S, 0.0) for _, step in self._state.transcript]

    def step(self) -> Samples:
        """Make one step of 80 ms; return its audio, none while the text has to be ahead of the audio."""
        import torch

        model, tokens = self._model, self._tokens
        _set_random_state(self._random)
        with torch.no_grad():
            given = torch.full((1, self._lm.n_q - self._lm.dep_q, 1), tokens.zero, device=self._lm.device)
            # Before there is audio, the network for it is not needed.
            silent = torch.full((1, self._lm.dep_q, 1), tokens.zero, device=self._lm.device)
            early = self._offset < model.delay_steps
            frame = self._generator.step(given, depformer_replace_tokens=silent if early else None)
            self._offset += 1
            made = np.zeros(0, np.float32) if frame is None else self._decode(frame)
        self._random = _random_state()
        return made

    def _decode(self, frame: Any) -> Samples:
        """Decode a frame of codes [1, 1 + codebooks, 1], as ``simple_generate`` does."""
        at, self._frames = self._frames - self._first, self._frames + 1
        made = None
        if self._frames > self._model.delay_steps:
            made = self._model.mimi.decode(frame[:, 1:]).clip(-1, 1)[0, 0].float().cpu().numpy()
        end = self._state.end_step
        if made is None or at < 0 or (end is not None and at + self._prefix_frames >= end):
            return np.zeros(0, np.float32)
        if len(self.codes) < self._manner.kept_frames:
            self.codes.append(frame[0, 1:, 0].cpu())
        samples: Samples = made
        return samples

    def close(self) -> None:
        self._opened.close()

    def _choose_text(self, tokens: Any) -> None:
        """Replace the text token by that of the script; of a recording there is none."""
        if self._offset < self._prefix_frames:
            tokens[0] = self._tokens.zero
        else:
            tokens[0], _ = self._model.machine.process(self._offset, self._state, int(tokens[0]))

    def _choose_codes(self, codes: Any) -> None:
        """Replace codes [1, codebooks] before there is audio, and by those of the recording."""
        import torch

        for at, delay in enumerate(self._lm.delays[self._lm.audio_offset :][: codes.shape[1]]):
            if self._offset < delay + self._model.delay_steps:
                codes[:, at] = self._tokens.zero
        if self._forced:
            forced = self._forced.popleft()
            codes[0] = torch.where(forced != self._tokens.ungenerated, forced, codes[0])


def _random_state() -> tuple[Any, ...]:
    import torch

    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None


def _set_random_state(state: tuple[Any, ...]) -> None:
    import torch

    own, cuda = state
    torch.set_rng_state(own)
    if cuda is not None:
        torch.cuda.set_rng_state_all(cuda)
