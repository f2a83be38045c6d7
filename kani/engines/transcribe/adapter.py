"""transcribe.cpp's package, in its own words: GGUF files of many makers' models, on the processor.

Runs only in its environment. A copy of a model computes one call at a time; all share the weights.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.recognizer import STEP_S, RecognizerInfo
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.packages.adapter import Heard, Word
from kani.engines.plugin import Resources
from kani.runtime.recognition import live_delay

if TYPE_CHECKING:
    from transcribe_cpp import Result, Session

log = logging.getLogger(__name__)

RATE = 16_000
_ERROR = 3  # level of the native library's log
_OLD_CODES = {"jw": "jv", "iw": "he"}
_LOOK_AGAIN_S = 0.05
# Steps that a model which streams is fed at once, as some compute their whole answer each time; most audio
# after a word that one waits for; and the length from which on a stream ends in a pause, and anywhere.
_STEPS, _LOOKAHEAD_S, _LONG_S, _LONGEST_S = 6, 1.04, 40.0, 80.0


class Transcribe:
    """One file. See ``HearingAdapter``."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        """See ``HearingAdapter.load``. settings: ``file``, ``cores`` of a call, ``copies`` of the model.

        A model without streams has no live sessions: its delay is that of passes over live audio.
        """
        # The other backends are for devices that were never tried; loading Vulkan's takes longest.
        os.environ.setdefault("TRANSCRIBE_BACKENDS", "cpu")
        import transcribe_cpp

        transcribe_cpp.set_log_callback(_log)
        self._package: Any = transcribe_cpp
        self.streams, self._file, self._cores = settings["copies"], settings["file"], settings["cores"]
        try:
            model = transcribe_cpp.Model(self._file, backend="cpu")
            self._idle = [model.session(n_threads=self._cores)]
        except transcribe_cpp.TranscribeError as error:
            raise EngineUnavailable(f"{Path(self._file).name} cannot be loaded: {error}") from error
        self._can, self._prompted = model.capabilities, model.supports("context_prompt")
        # Of several places the first one stands for the language: es-ES before es-US.
        self._codes = {_subtag(code): code for code in reversed(self._can.languages) if code != "auto"}
        self._told = self._codes  # unless it detects languages whatever a client names
        language = next(iter(self._codes), None)
        try:
            self._run(np.zeros(RATE // 10, np.float32), {"language": self._told.get(language or "")}, Event())
        except transcribe_cpp.UnsupportedRequest:
            self._told = {}
        late_s, why_not = self._measured(language)
        name, known = str(model.variant or model.arch), frozenset(self._codes)
        return RecognizerInfo("transcribe", name, RATE, known, recordings_only=why_not, live_delay_s=late_s)

    def _measured(self, language: str | None) -> tuple[float, str]:
        """Return the delay of live words, and why there are no live sessions."""
        if not self._can.supports_streaming:
            how = {"language": self._told.get(language or "")}
            pass_s = live_delay.measure_pass(lambda noise: self._run(noise, how, Event()))
            return live_delay.delay_s(pass_s), "the model hears stretches of audio"
        session, piece_s = self.listen(language), _STEPS * STEP_S
        size = round(STEP_S * RATE)
        pass_s = live_delay.measure_pass(lambda noise: [session.feed(noise[:size]) for _ in range(_STEPS)])
        session.close()
        slow = f"{piece_s:g} s of speech take {pass_s:.1f} s" if pass_s > piece_s else ""
        return 2 * (piece_s + pass_s) + _LOOKAHEAD_S, slow

    def hear(self, samples: Samples, options: TranscriptionOptions, stopped: Event) -> list[Heard]:
        """See ``HearingAdapter.hear``; a temperature has no effect. Nothing for an answer without end."""
        how: dict[str, Any] = {"language": self.code_of(options.language)}
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
        known = [token.p for token in result.tokens if token.p > 0]
        probability = float(np.exp(np.log(known).mean())) if known else 1.0
        if result.timestamp_kind != "segment":
            words, length_s = tuple(_words(result)), len(samples) / RATE
            return [Heard(result.text, 0.0, length_s, words, language, probability)]
        return [
            Heard(one.text, one.t0_ms / 1000, one.t1_ms / 1000, (), language, probability)
            for one in result.segments
        ]

    def listen(self, language: str | None) -> StreamSession:
        """See ``HearingAdapter.listen``."""
        return StreamSession(self, language)

    def code_of(self, language: str | None) -> str | None:
        """Return the model's name of a language, None to detect it. Raises InvalidRequest."""
        if language is None and not self._can.supports_language_detect and len(self._codes) > 1:
            known = ", ".join(sorted(self._codes))
            raise InvalidRequest("language", f"this model does not detect it: name one of {known}")
        return self._told.get(language or "")

    @property
    def longest_s(self) -> float:
        """Seconds of a stream at most."""
        return min(self._can.max_audio_ms / 1000 or _LONGEST_S, _LONGEST_S)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Hold a copy that nobody else computes with."""
        if self._idle:
            session = self._idle.pop()
        else:
            session = self._package.Model(self._file, backend="cpu").session(n_threads=self._cores)
        try:
            yield session
        finally:
            self._idle.append(session)

    def _run(self, samples: Samples, how: Mapping[str, Any], stopped: Event) -> Result | None:
        with self.session() as session:
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


class StreamSession:
    """Live speech by a model that streams: words are what the runtime commits. See ``LiveSession``."""

    pauses, pending = None, False

    def __init__(self, adapter: Transcribe, language: str | None) -> None:
        self._language, self._longest_s = adapter.code_of(language), adapter.longest_s
        self._copy = adapter.session()
        self._session = self._copy.__enter__()
        self._waiting: list[Samples] = []
        self._fed_s = 0.0
        self._begin()

    def feed(self, samples: Samples) -> list[Word]:
        """See ``LiveSession.feed``."""
        self._waiting.append(samples)
        return self._heard() if len(self._waiting) == _STEPS else []

    def finish(self) -> list[Word]:
        """See ``LiveSession.finish``."""
        return self._heard(last=True)

    def close(self) -> None:
        """See ``LiveSession.close``."""
        self._stream.reset()
        self._copy.__exit__(None, None, None)

    def _begin(self) -> None:
        self._stream = self._session.stream(
            language=self._language, timestamps="auto", commit_policy="stable_prefix"
        )
        self._begin_s = self._end_s = self._fed_s
        self._count, self._committed = 0, ""

    def _heard(self, *, last: bool = False) -> list[Word]:
        """Feed what waits; return the words that are decided by it."""
        if self._waiting:
            self._stream.feed(np.concatenate(self._waiting))
            self._fed_s += len(self._waiting) * STEP_S
            self._waiting.clear()
        length_s = self._fed_s - self._begin_s
        last = last or length_s > self._longest_s or (length_s > _LONG_S and not self.pending)
        if last:
            self._stream.finalize()
        found = list(self._decided(last=last))
        if last:
            self._stream.reset()
            self._begin()
        return found

    def _decided(self, *, last: bool) -> Iterator[Word]:
        text = self._stream.text()
        committed = text.full if last else text.committed
        words = committed.split()
        # What has just come may be half a word.
        count = len(words) if last or committed == self._committed else len(words) - 1
        self._committed, self.pending = committed, not last and count < len(text.display.split())
        result = self._stream.snapshot()
        timed, language = [*_words(result, self._begin_s)], _subtag(result.language)
        for at in range(self._count, count):
            word = timed[at] if at < len(timed) else Word("", self._end_s, max(self._end_s, self._fed_s))
            self._end_s = word.end_s
            yield Word(words[at], word.start_s, word.end_s, word.probability, language)
        self._count = max(self._count, count)


def _words(result: Result, begin_s: float = 0.0) -> Iterator[Word]:
    """Yield the words that the model times, in seconds of audio that begins ``begin_s`` before its own."""
    for one in result.words:
        tokens = result.tokens[one.first_token : one.first_token + one.n_tokens]
        least = min((token.p for token in tokens if token.p > 0), default=1.0)
        yield Word(one.text.strip(), begin_s + one.t0_ms / 1000, begin_s + one.t1_ms / 1000, least)


def _subtag(code: str) -> str:
    found = code.partition("-")[0].lower()
    return _OLD_CODES.get(found, found)


def _log(level: int, message: str) -> None:
    if line := message.strip():
        log.log(logging.WARNING if level == _ERROR else logging.DEBUG, "transcribe.cpp: %s", line)
