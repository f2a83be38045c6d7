"""Kyutai's text-to-speech by its makers' package, moshi. Runs only in its environment.

Segments take turns after each step of 80 ms, each in a copy of the model that shares the weights.
"""

import copy
import math
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.engine import Cloning, EngineInfo, VoiceRules
from kani.core.errors import EngineFailed, InvalidRequest, UnknownVoice
from kani.core.recent import Recent
from kani.core.recognizer import STEP_S
from kani.core.types import Embedding, Samples, Segment, Span, Voice
from kani.engines.kyutai import loading, published
from kani.engines.kyutai.generation import Generation, Manner
from kani.engines.kyutai.published import RECORDING_S
from kani.engines.kyutai.words import Script
from kani.engines.packages.adapter import Spoken, Utterance, check_finite
from kani.engines.plugin import Resources

ENGINE = "kyutai"
TEMPERATURE = 0.6
"""The package's own, of text and audio."""

GUIDANCE = 2.0
"""Weight of text and voice against free generation, for requests that name none. Models that have it as a
condition know 1 to 4; the others compute each step twice for it."""

MAX_CODEBOOKS = 32
MAX_SLOTS = 64

MAX_SESSIONS = 256
"""Sessions that keep the voice of their first segment, and recordings that are kept: 10 s of codes each."""


class KyutaiSpeech:
    """One checkpoint on one device: a ``SpeechAdapter``."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        info, device, precision = loading.begin(settings["files"], resources)
        from moshi.models.tts import TTSModel

        self._codebooks = min(MAX_CODEBOOKS, int(info.lm_config["dep_q"]))
        model = TTSModel.from_checkpoint_info(info, n_q=self._codebooks, device=device, dtype=precision)
        check_finite(model.lm, model.mimi)
        self._model: Any = model
        self._guidances = frozenset(float(each) for each in model.valid_cfg_conditionings)
        nearest = sorted(self._guidances, key=lambda each: abs(each - GUIDANCE))
        self._usual_guidance = nearest[0] if nearest else None
        self._voices: dict[str, str] = settings["voices"]
        slots = min(resources.max_concurrent or (4 if device.startswith("cuda") else 1), MAX_SLOTS)
        # As many again are for texts that are being written: they keep theirs while they wait.
        self._free = [self._copy() for _ in range(2 * slots)]
        self._growing = slots
        self._encoder: Any = self._copy().mimi
        self._made: Recent[str, Any] = Recent(MAX_SESSIONS)
        self._recorded: Recent[str, Any] = Recent(MAX_SESSIONS)
        self._version: str = settings["version"]
        return self._described(slots)

    def _copy(self) -> Any:
        """Return a model with the same weights, for a call beside others: its modules hold a call's state."""
        model = self._model
        weights = chain.from_iterable(
            each for net in (model.lm, model.mimi) for each in (net.parameters(), net.buffers())
        )
        shared = {id(weight): weight for weight in weights}
        lm, mimi = (copy.deepcopy(each, dict(shared)) for each in (model.lm, model.mimi))
        return replace(model, lm=lm, mimi=mimi)

    def speak(self, utterance: Utterance) -> Generator[Spoken, None, None]:
        """Yield frames of 80 ms, and a span for each word once the next one begins.

        A word of a text that grows is spoken once those that the model reads ahead are there. Where as many
        such texts as there are slots are being spoken, another one is spoken once it is complete.
        """
        grows = not utterance.complete and self._growing > 0
        self._growing -= grows
        try:
            while not utterance.complete and not grows:
                yield None
            manner, model = self._manner(utterance), self._free.pop()
            try:
                with closing(Generation(model, manner)) as generation:
                    yield from _spoken(generation, utterance)
            finally:
                self._free.append(model)
            if generation.codes:
                self._made.keep(utterance.segment.session, generation.codes)
        finally:
            self._growing += grows

    def embed(self, samples: Samples) -> Samples:
        codes: Samples = self._encode(samples).numpy().astype(np.float32).ravel()
        return codes

    def _encode(self, samples: Samples) -> Any:
        """Return the codes of a recording, [codebooks, frames]; see ``TTSModel.get_prefix``."""
        import torch

        with torch.no_grad():
            audio = torch.from_numpy(np.ascontiguousarray(samples)).to(self._model.lm.device)
            return self._encoder.encode(audio[None, None])[0, :, :-2].cpu()

    def _manner(self, utterance: Utterance) -> Manner:
        """Return how a segment is spoken. Raises InvalidRequest, UnknownVoice and EngineFailed."""
        import torch

        segment, model = utterance.segment, self._model
        guidance = self._guidance(segment)
        temperature = segment.sampling.temperature
        manner = Manner(
            utterance.seed,
            TEMPERATURE if temperature is None else temperature,
            # A model without the condition takes two passes.
            1.0 if self._guidances else GUIDANCE,
        )
        name, codes = segment.voice.removeprefix(f"{ENGINE}:"), None
        if model.multi_speaker:
            if name not in self._voices:
                raise UnknownVoice(segment.voice)
            return replace(manner, attributes=self._read(name, guidance))
        if segment.embedding is not None:
            codes = self._given(segment.embedding)
        elif name in self._voices:
            codes = self._recorded.made(name, lambda: self._read(name))
        elif name not in published.DEFAULT_VOICES:
            raise UnknownVoice(segment.voice)
        elif kept := self._made.use(segment.session):
            # The next segments of a session continue the voice that the model chose for the first one.
            codes = torch.stack(kept, 1)
        elif segment.session:
            return replace(manner, kept_frames=round(RECORDING_S / STEP_S))
        return replace(manner, prefix=None if codes is None else codes.to(model.lm.device))

    def _read(self, name: str, guidance: float | None = None) -> Any:
        """Return the attributes of a voice's published embedding, or the codes of its recording.

        Raises EngineFailed.
        """
        import sphn

        path, rate = self._voices[name], int(self._model.mimi.sample_rate)
        try:
            if self._model.multi_speaker:
                return self._model.make_condition_attributes([Path(path)], cfg_coef=guidance)
            samples, _ = sphn.read(path, sample_rate=rate)
        except Exception as error:  # of any type, with a sentence that would show a path
            raise EngineFailed(f"the voice {name} cannot be read ({type(error).__name__})") from error
        return self._encode(samples.mean(0)[: round(RECORDING_S * rate)])

    def _given(self, embedding: Embedding) -> Any:
        import torch

        values = np.asarray(embedding.values)
        # Clients may send embeddings, and the package would fail on a code that the model lacks.
        known = ((values >= 0) & (values < self._model.lm.card)).all()
        if len(values) > round(RECORDING_S / STEP_S) * self._codebooks or len(values) % self._codebooks:
            known = False
        if not known:
            raise InvalidRequest("reference", "the embedding is not one of this model")
        return torch.from_numpy(values.astype(np.int64).reshape(self._codebooks, -1))

    def _guidance(self, segment: Segment) -> float | None:
        """Return the request's guidance, or the usual one, of a model that has it as a condition."""
        asked = segment.options.get("cfg_alpha")
        if asked is None or not self._guidances:
            return self._usual_guidance
        if not isinstance(asked, int | float) or float(asked) not in self._guidances:
            known = ", ".join(f"{each:g}" for each in sorted(self._guidances))
            raise InvalidRequest("cfg_alpha", f"has to be one of this model's ({known})")
        return float(asked)

    def _described(self, slots: int) -> EngineInfo:
        embeddings = self._model.multi_speaker
        voices = [Voice(f"{ENGINE}:{name}", name, _language(name), ENGINE) for name in self._voices]
        if embeddings:
            defaults = {tag: self._default(tag) for tag in published.DEFAULT_VOICES}
        else:
            # The published checkpoint of this kind speaks English, in the voice that it chooses.
            defaults = {"en": "en"}
            voices.insert(0, Voice(f"{ENGINE}:en", "Kyutai (en)", "en", ENGINE))
        return EngineInfo(
            name=ENGINE,
            version=self._version,
            sample_rate=int(self._model.mimi.sample_rate),
            voices=tuple(voices),
            default_voices={tag: f"{ENGINE}:{name}" for tag, name in defaults.items()},
            max_concurrency=slots,
            speed_range=(1.0, 1.0),
            supported_fields=frozenset({"seed", "temperature", *(("cfg_alpha",) if self._guidances else ())}),
            streams_inside_segment=True,
            accepts_partial_text=True,
            voice_rules=VoiceRules(kept=not embeddings),
            cloning=Cloning() if embeddings else Cloning("embedding", f"{self._version}, 1"),
        )

    def _default(self, tag: str) -> str:
        wanted = [*published.DEFAULT_VOICES[tag], *(name for name in self._voices if _language(name) == tag)]
        return next(name for name in (*wanted, *self._voices) if name in self._voices)


def _spoken(generation: Generation, utterance: Utterance) -> Generator[Spoken, None, None]:
    script, told = Script(), 0
    while not generation.ended:
        new = script.take(utterance.text, complete=utterance.complete)
        generation.feed([word.written for word in new], complete=utterance.complete)
        if generation.hungry:
            yield None
            continue
        yield generation.step()
        starts = [*generation.word_starts(), *([math.inf] if generation.ended else [])]
        for start_s, end_s in zip(starts[told:], starts[told + 1 :], strict=False):
            yield Span(script.words[told].start, script.words[told].end, start_s, end_s)
            told += 1


def _language(name: str) -> str:
    return "fr" if any(part in f"/{name}" for part in published.FRENCH) else "en"
