"""Parameters of a request: types, ranges, and the error sentences of the protocol."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from kani.core.types import OPTION_RANGES, OptionValue, Recording, Sampling, SpeechRequest
from kani.protocols.shared.calls.bodies import FILLED, read, within
from kani.protocols.shared.calls.faults import Fault, WrongFields
from kani.protocols.shared.client_languages import Languages, known_languages
from kani.protocols.voxcpm.messages import RejectedMessage, validation_failure
from kani_text import languages

STREAMING = "streaming"

VOICE_ID = "voice_id"
RECORDING_PARAMS = ("prompt_wav_url", "prompt_wav_path")
"""Parameters that name a recording."""

MAX_UNUSED_NAMES = 32
MAX_UNUSED_LENGTH = 64
"""Unknown parameters that an answer names, and characters of each name."""

RETRY = "retry_badcase"
RETRIES = (RETRY, "retry_badcase_max_times")
"""Parameters that are of no use to a stream."""

MAX_NAME_LENGTH = 200
"""Characters of a name: a language, an emotion, a voice."""

Name = Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]


class Options(Struct, kw_only=True):
    """Parameters that only some engines use; None is "not given"."""

    prompt_text: str | None = None
    denoise: bool | None = None
    retry_badcase: bool | None = None
    cfg_value: Annotated[float, within(OPTION_RANGES["cfg_value"])] | None = None
    inference_timesteps: Annotated[int, within(OPTION_RANGES["inference_timesteps"])] | None = None
    retry_badcase_max_times: Annotated[int, within(OPTION_RANGES["retry_badcase_max_times"])] | None = None
    retry_badcase_ratio_threshold: (
        Annotated[float, within(OPTION_RANGES["retry_badcase_ratio_threshold"])] | None
    ) = None


class Given(Options, kw_only=True):
    """All parameters of a message. The core checks the numbers without a range."""

    text: Annotated[str, FILLED]
    mode: Literal["streaming", "non_streaming"] = "streaming"
    voice: Name | None = None  # an id of this server's, or of its voice folder
    voice_id: Name | None = None  # another name of it
    prompt_wav_url: str | None = None
    prompt_wav_path: str | None = None  # not together with prompt_wav_url
    language: Name | None = None
    languages: Languages | None = None
    emotion: Name | None = None
    emotion_strength: float | None = None
    speed: float | None = None
    duration: float | None = None  # seconds of the whole speech
    lexicon: dict[str, str] = {}
    normalize: bool = True
    quotations: bool = True
    melody: float | None = None
    seed: int | None = None


class Params(Given, kw_only=True):
    """Validated parameters, with the voice as ``voice``."""

    unknown: tuple[str, ...]  # names of parameters without a meaning here, bounded

    @property
    def options(self) -> dict[str, OptionValue]:
        """The given ones of ``Options``."""
        options = ((name, getattr(self, name)) for name in Options.__struct_fields__)
        return {name: value for name, value in options if value is not None}

    def to_request(self, voice: str | None, reference: Recording | None, prompt_text: str) -> SpeechRequest:
        """Convert to the core's request. Raises UnsupportedLanguage.

        prompt_text: transcript of the reference, used if the client has given none.
        """
        options = ({"prompt_text": prompt_text} if prompt_text else {}) | self.options
        if self.mode == STREAMING:
            # Audio that has been sent cannot be made again: no retries, as in VoxCPM's own server.
            options = {name: value for name, value in options.items() if name not in RETRIES}
        else:
            options.setdefault(RETRY, True)
        return SpeechRequest(
            voice=voice,
            language=languages.resolve(self.language) if self.language else None,
            languages=known_languages(self.languages or ()),
            emotion=self.emotion or None,
            emotion_strength=self.emotion_strength,
            speed=self.speed,
            duration_s=self.duration,
            lexicon=self.lexicon,
            normalize=self.normalize,
            quotations=self.quotations,
            melody=self.melody,
            sampling=Sampling(seed=self.seed),
            reference=reference,
            options=options,
        )


def read_params(
    given: Mapping[str, Any], max_text: int, request_id: str, beside: Iterable[str] = ()
) -> Params:
    """Validate the parameters, ``null`` the same as left out; max_text: characters of the text.

    beside: names of the message's fields beside them that mean nothing.
    Raises RejectedMessage, which lists all errors.
    """
    errors: dict[str, str] = {}
    try:
        params = read(given, Given)
        errors = _conflicts(params)
    except WrongFields as wrong:
        ordered = sorted(wrong.faults, key=lambda fault: fault.path in Options.__struct_fields__)
        errors = {fault.path: _reason(fault) for fault in ordered}
    text = given.get("text")
    too_long = isinstance(text, str) and len(text.strip()) > max_text
    if too_long:
        errors["text"] = f"too long (max {max_text} characters)"
    if errors:
        failure = validation_failure(errors, "TEXT_TOO_LONG" if too_long else "INVALID_PARAMS")
        raise RejectedMessage(failure, request_id)
    voice = params.voice_id or params.voice
    unused = (name for name in given if name not in Given.__struct_fields__)
    unknown = [name[:MAX_UNUSED_LENGTH] for name in (*unused, *beside)]
    values = msgspec.structs.asdict(params) | {
        "voice": voice if voice != "default" else None,
        "voice_id": None,
        **{name: getattr(params, name) or None for name in RECORDING_PARAMS},
    }
    return Params(**values, unknown=tuple(unknown[:MAX_UNUSED_NAMES]))


_REASONS = {
    "is needed": "is required",
    "is empty": "cannot be empty",
    "must be a whole number": "must be an integer",
    "must be true or false": "must be a boolean",
    "must be one of non_streaming, streaming": "must be 'streaming' or 'non_streaming'",
    f"too long (at most {MAX_NAME_LENGTH} characters)": f"too long (max {MAX_NAME_LENGTH} characters)",
}


def _reason(fault: Fault) -> str:
    """Return what is wrong in the words of VoxCPM's own server, which its clients show."""
    allowed = OPTION_RANGES.get(fault.path)
    if fault.kind == "value" and allowed is not None:
        return f"must be between {allowed.low} and {allowed.high}"
    return _REASONS.get(fault.reason, fault.reason)


def _conflicts(params: Given) -> dict[str, str]:
    if params.voice_id and params.voice and params.voice_id != params.voice:
        return {"voice": "is another than voice_id (one is enough)"}
    if params.prompt_wav_url and params.prompt_wav_path:
        return {"prompt_wav_path": "cannot be given together with prompt_wav_url"}
    return {}
