"""transcribe.cpp's package, in its own words: GGUF files of many makers' models, on the processor.

Runs only in its environment. A copy of a model computes one call at a time; all share the weights.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from kani.core.errors import InvalidRequest
from kani.core.recognizer import RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.plugin import Resources
from kani.runtime.recognition import live_delay

if TYPE_CHECKING:
    from transcribe_cpp import Result

log = logging.getLogger(__name__)

RATE = 16_000
_ERROR = 3  # level of the native library's log
_OLD_CODES = {"jw": "jv", "iw": "he"}
_LOOK_AGAIN_S = 0.05


class Transcribe:
    """One file: a ``HearingAdapter``."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        """Load the file, and measure a pass.

        Live words come by the server's passes, also of models that have streams: ``live_delay_s`` is theirs.
        """
        # The other backends are for devices that were never tried; loading Vulkan's takes longest.
        os.environ.setdefault("TRANSCRIBE_BACKENDS", "cpu")
        import transcribe_cpp

        transcribe_cpp.set_log_callback(_log)
        self._package: Any = transcribe_cpp
        self.streams, self._file, self._cores = settings["copies"], settings["file"], settings["cores"]
        model = transcribe_cpp.Model(self._file, backend="cpu")
        self._idle = [model.session(n_threads=self._cores)]
        self._can, self._prompted = model.capabilities, model.supports("context_prompt")
        # Of several places the first one stands for the language: es-ES before es-US.
        self._codes = {_subtag(code): code for code in reversed(self._can.languages) if code != "auto"}
        self._told = self._codes  # unless it detects languages whatever a client names
        self._usual = resources.language if resources.language in self._codes else None
        # In a language that it hardly knows, a model may hear endless words in the noise that measures it.
        language = self._codes.get("en") or next(iter(self._codes.values()), None)
        try:
            pass_s = self._pass_s(language)
        except transcribe_cpp.UnsupportedRequest:
            self._told, pass_s = {}, self._pass_s(None)
        return RecognizerInfo(
            "transcribe",
            str(model.variant or model.arch),
            RATE,
            frozenset(self._codes),
            live_delay_s=live_delay.delay_s(pass_s),
        )

    def _pass_s(self, language: str | None) -> float:
        return live_delay.measure_pass(lambda noise: self._run(noise, {"language": language}, Event()))

    def hear(
        self, samples: Samples, options: TranscriptionOptions, stopped: Event
    ) -> list[TranscribedSegment]:
        """Hear a stretch; a temperature has no effect. Nothing for an answer without end."""
        options = replace(options, language=self._language(options.language))
        how: dict[str, Any] = {"language": self._told.get(options.language or "")}
        if options.translate:
            if "en" not in self._can.translate_target_languages:
                raise InvalidRequest("task", "this model does not translate into English")
            how |= {"task": "translate", "target_language": "en"}
        if options.prompt and self._prompted:
            how["prompt"] = options.prompt
        if (result := self._run(samples, how, stopped)) is None:
            return []
        only = next(iter(self._codes)) if len(self._codes) == 1 else ""
        language = (options.language if self._told else "") or _subtag(result.language) or only
        whole = TranscribedSegment(
            result.text,
            0.0,
            len(samples) / RATE,
            (*_words(result),),
            log_probability=float(np.mean(_told(result.tokens))),
            language=language,
        )
        sentences = result.segments if result.timestamp_kind == "segment" else ()
        return [
            replace(whole, text=one.text, start_s=one.t0_ms / 1000, end_s=one.t1_ms / 1000, words=())
            for one in sentences
        ] or [whole]

    def _language(self, language: str | None) -> str | None:
        """Return the language to hear, the server's where one has to be told, None to detect it.

        Raises InvalidRequest.
        """
        if language is not None or self._can.supports_language_detect or len(self._codes) <= 1:
            return language
        if self._usual is None:
            known = ", ".join(sorted(self._codes))
            raise InvalidRequest("language", f"this model does not detect it: name one of {known}")
        return self._usual

    def _run(self, samples: Samples, how: Mapping[str, Any], stopped: Event) -> Result | None:
        """Compute with a copy of the model that nobody else computes with; return None for no answer."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._package.Model(self._file, backend="cpu").session(n_threads=self._cores)
        ended = Event()

        def watch() -> None:
            while not ended.wait(_LOOK_AGAIN_S):
                if stopped.is_set():
                    session.cancel()

        watching = Thread(target=watch)
        watching.start()
        try:
            return session.run(samples, **how)
        except (self._package.OutputRepetition, self._package.Aborted, self._package.InputTooShort):
            return None
        except self._package.OutputTruncated as error:
            return error.partial_result
        finally:
            ended.set()
            watching.join()
            self._idle.append(session)


def _words(result: Result) -> Iterator[TranscribedWord]:
    for one in result.words:
        tokens = result.tokens[one.first_token : one.first_token + one.n_tokens]
        yield TranscribedWord(one.text.strip(), one.t0_ms / 1000, one.t1_ms / 1000, min(_told(tokens)))


def _told(tokens: Sequence[Any]) -> list[float]:
    """Return the log probabilities of tokens; [0] where the model tells none."""
    return [math.log(token.p) for token in tokens if token.p > 0] or [0.0]


def _subtag(code: str) -> str:
    found = code.partition("-")[0].lower()
    return _OLD_CODES.get(found, found)


def _log(level: int, message: str) -> None:
    if line := message.strip():
        log.log(logging.WARNING if level == _ERROR else logging.DEBUG, "transcribe.cpp: %s", line)
