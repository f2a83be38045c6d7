"""Parameters of a request: types, ranges, and the error sentences of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kani.core.types import OptionValue, Recording, Sampling, SpeechRequest
from kani.protocols.shared.client_languages import LANGUAGES_FIELD, known_languages, languages_error
from kani.protocols.voxcpm.messages import RejectedMessage, validation_failure
from kani.text import languages

STREAMING = "streaming"
NON_STREAMING = "non_streaming"

VOICE_ID = "voice_id"
RECORDING_PARAMS = ("prompt_wav_url", "prompt_wav_path")
"""Parameters that name a recording."""

MAX_NAME_LENGTH = 200
"""Characters of a name: a language, an emotion, a voice."""

MAX_UNUSED_NAMES = 32
MAX_UNUSED_LENGTH = 64
"""Unknown parameters that an answer names, and characters of each name."""

Check = Callable[[Any], str | None]
"""Returns the error in a value other than null, or None."""


def _string(longest: int | None) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "must be a string"
        if longest is not None and len(value) > longest:
            return f"too long (max {longest} characters)"
        return None

    return check


def _number(low: float | None = None, high: float | None = None, *, whole: bool = False) -> Check:
    """low, high: the range; neither, if the core checks it."""

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return "must be an integer" if whole else "must be a number"
        if low is not None and high is not None and not low <= value <= high:
            return f"must be between {low} and {high}"
        return None

    return check


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be a boolean"


def _spellings(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "must be an object"
    return None if all(isinstance(each, str) for each in value.values()) else "must be an object of strings"


def _mode(value: Any) -> str | None:
    known = value in (STREAMING, NON_STREAMING) if isinstance(value, str) else False
    return None if known else "must be 'streaming' or 'non_streaming'"


RANGES: Mapping[str, tuple[float, float]] = {
    "cfg_value": (0.1, 10.0),
    "inference_timesteps": (1, 50),
    "retry_badcase_max_times": (0, 10),
    "retry_badcase_ratio_threshold": (1.0, 20.0),
}
"""Ranges of VoxCPM's own numbers, ends included; a range of integers is for an integer."""

RETRY = "retry_badcase"
RETRIES = (RETRY, "retry_badcase_max_times")
"""Parameters that are of no use to a stream."""

OPTIONS: Mapping[str, Check] = {
    "prompt_text": _string(None),
    **dict.fromkeys(("denoise", RETRY), _boolean),
    **{name: _number(*ends, whole=isinstance(ends[0], int)) for name, ends in RANGES.items()},
}
"""Parameters that only some engines use."""

_OTHERS: Mapping[str, Check] = {
    "mode": _mode,
    "prompt_wav_url": _string(None),
    "prompt_wav_path": _string(None),
    **dict.fromkeys(("voice_id", "voice", "language", "emotion"), _string(MAX_NAME_LENGTH)),
    **dict.fromkeys(("emotion_strength", "speed", "duration"), _number()),
    "lexicon": _spellings,
    LANGUAGES_FIELD: languages_error,
    "normalize": _boolean,
    "seed": _number(whole=True),
}


@dataclass(frozen=True, slots=True)
class Params:
    """Validated parameters; None is "not given"."""

    text: str
    mode: str
    voice: str | None  # an id of this server's, or of its voice folder
    prompt_wav_url: str | None
    prompt_wav_path: str | None  # not together with prompt_wav_url
    language: str | None
    languages: tuple[str, ...]
    emotion: str | None
    emotion_strength: float | None
    speed: float | None
    duration: float | None  # seconds of the whole speech
    lexicon: Mapping[str, str]
    normalize: bool
    seed: int | None
    options: Mapping[str, OptionValue]
    unknown: tuple[str, ...]  # names of parameters without a meaning here, bounded

    def to_request(self, voice: str | None, reference: Recording | None, prompt_text: str) -> SpeechRequest:
        """Convert to the core's request. Raises UnsupportedLanguage.

        prompt_text: transcript of the reference, used if the client has given none.
        """
        options = {"prompt_text": prompt_text, **self.options} if prompt_text else dict(self.options)
        if self.mode == STREAMING:
            # Audio that has been sent cannot be made again: no retries, as in VoxCPM's own server.
            options = {name: value for name, value in options.items() if name not in RETRIES}
        else:
            options.setdefault(RETRY, True)
        return SpeechRequest(
            voice=voice,
            language=languages.resolve(self.language) if self.language else None,
            languages=self.languages,
            emotion=self.emotion or None,
            emotion_strength=self.emotion_strength,
            speed=self.speed,
            duration_s=self.duration,
            lexicon=self.lexicon,
            normalize=self.normalize,
            sampling=Sampling(seed=self.seed),
            reference=reference,
            options=options,
        )


def read_params(given: Mapping[str, Any], max_text: int, request_id: str) -> Params:
    """Validate the parameters, ``null`` the same as left out; max_text: characters of the text.

    Raises RejectedMessage, which lists all errors.
    """
    known = {"text", *OPTIONS, *_OTHERS}
    params = {name: value for name, value in given.items() if name in known and value is not None}
    errors: dict[str, str] = {}
    if (wrong := _text(params.get("text"), max_text)) is not None:
        errors["text"] = wrong
    for name, check in {**_OTHERS, **OPTIONS}.items():
        if name in params and (wrong := check(params[name])) is not None:
            errors[name] = wrong
    if not errors:
        errors = _conflicts(params)
    if errors:
        too_long = errors.get("text", "").startswith("too long")
        failure = validation_failure(errors, "TEXT_TOO_LONG" if too_long else "INVALID_PARAMS")
        raise RejectedMessage(failure, request_id)
    voice = params.get("voice_id") or params.get("voice")
    unknown = (name for name in given if name not in known)
    return Params(
        text=params["text"],
        mode=params.get("mode", STREAMING),
        voice=voice if voice and voice != "default" else None,
        prompt_wav_url=params.get("prompt_wav_url") or None,
        prompt_wav_path=params.get("prompt_wav_path") or None,
        language=params.get("language"),
        languages=known_languages(params.get(LANGUAGES_FIELD, ())),
        emotion=params.get("emotion"),
        emotion_strength=params.get("emotion_strength"),
        speed=params.get("speed"),
        duration=params.get("duration"),
        lexicon=params.get("lexicon", {}),
        normalize=params.get("normalize", True),
        seed=params.get("seed"),
        options={name: params[name] for name in OPTIONS if name in params},
        unknown=tuple(
            name[:MAX_UNUSED_LENGTH] for name, _ in zip(unknown, range(MAX_UNUSED_NAMES), strict=False)
        ),
    )


def _text(text: Any, longest: int) -> str | None:
    if text is None:
        return "is required"
    if not isinstance(text, str):
        return "must be a string"
    if not text.strip():
        return "cannot be empty"
    return f"too long (max {longest} characters)" if len(text.strip()) > longest else None


def _conflicts(params: Mapping[str, Any]) -> dict[str, str]:
    if params.get("voice_id") and params.get("voice") and params["voice_id"] != params["voice"]:
        return {"voice": "is another than voice_id (one is enough)"}
    if params.get("prompt_wav_url") and params.get("prompt_wav_path"):
        return {"prompt_wav_path": "cannot be given together with prompt_wav_url"}
    return {}
