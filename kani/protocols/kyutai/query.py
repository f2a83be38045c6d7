"""The query of a speech connection, and the core's request that it becomes."""

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from starlette.datastructures import QueryParams

from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.expected_words import MAX_TEXT
from kani.core.recognition_service import RecognitionService
from kani.core.request import Range, validate
from kani.core.service import SpeechService
from kani.core.types import OPTION_RANGES, OptionValue, Sampling, SpeechRequest
from kani.protocols.shared.query_flag import read_flag
from kani_text import languages

MAX_SEQ_LEN_RANGE = Range(1, 100_000)

KNOWN_VOICES = {
    "unmute-prod-website/p329_022.wav": ("en", "female"),
    "unmute-prod-website/developpeuse-3.wav": ("fr", "female"),
    "unmute-prod-website/degaulle-2.wav": ("fr", "male"),
    "unmute-prod-website/fabieng-enhanced-v2.wav": ("fr", "male"),
}
"""Language and sex by the name of Kyutai's voice: a recording that this server does not have."""

VOICE_FOLDERS = {"expresso/": ("en", ""), "cml-tts/fr/": ("fr", ""), "vctk/": ("en", "")}
"""The same by folder, for all voices in it; of either sex."""

N = TypeVar("N", int, float)

_UNSET = ("", "null", "None")
# "+2.5": where in the recording to begin; the plus is a space after URL decoding.
_OFFSET = re.compile(r"[+ ]\d+(\.\d*)?$")


class AudioFormat(Enum):
    PCM = "Pcm"
    PCM_MESSAGE_PACK = "PcmMessagePack"
    OGG_OPUS = "OggOpus"
    OGG_OPUS_MESSAGE_PACK = "OggOpusMessagePack"


@dataclass(frozen=True, slots=True)
class SpeechQuery:
    format: AudioFormat
    request: SpeechRequest
    max_frames: int | None  # frames after which the connection ends; None for no limit


def read_speech_query(query: QueryParams, service: SpeechService) -> SpeechQuery:
    """Read the parameters of ``/api/tts_streaming``; unknown ones are ignored.

    Raises InvalidRequest, as all functions here.
    ``language`` (a name or a tag) and ``quotations`` (true or false) are our own additions.
    """
    try:
        audio_format = AudioFormat(query.get("format") or AudioFormat.OGG_OPUS)
    except ValueError as error:
        known = ", ".join(each.value for each in AudioFormat)
        raise InvalidRequest("format", f"has to be one of {known}") from error
    max_frames = _number(query, "max_seq_len", int, MAX_SEQ_LEN_RANGE)
    cfg_alpha = _number(query, "cfg_alpha", float, OPTION_RANGES["cfg_alpha"])
    sampling = Sampling(
        temperature=_number(query, "temperature", float),
        top_k=_number(query, "top_k", int),
        seed=_number(query, "seed", int),
    )
    request = build_request(query.get("voice"), sampling, cfg_alpha, service, query.get("language"))
    quotations = read_flag(query, "quotations", default=True)
    return SpeechQuery(audio_format, replace(request, quotations=quotations), max_frames)


def read_language(query: QueryParams, recognition: RecognitionService) -> str | None:
    """Return the recogniser's code of the parameter ``language``, a tag or a name."""
    name = query.get("language")
    if name in (None, *_UNSET):
        return None
    try:
        return recognition.spoken(name)
    except EngineUnavailable:
        return name  # the session says so


def read_prompt(query: QueryParams) -> str:
    """Return the parameter ``prompt``, our own addition: words to expect in the speech."""
    prompt = query.get("prompt", "")
    if len(prompt) > MAX_TEXT:
        raise InvalidRequest("prompt", f"is too long (at most {MAX_TEXT} characters)")
    return prompt


def build_request(
    voice: str | None,
    sampling: Sampling,
    cfg_alpha: float | None,
    service: SpeechService,
    language: str | None = None,
) -> SpeechRequest:
    """Build the core's request."""
    options: dict[str, OptionValue] = {} if cfg_alpha is None else {"cfg_alpha": cfg_alpha}
    tag = languages.resolve(language) if language not in (None, *_UNSET) else None
    voice = resolve_voice(voice, service)
    request = SpeechRequest(voice=voice, language=tag, sampling=sampling, options=options)
    validate(request)
    return request


def resolve_voice(name: str | None, service: SpeechService) -> str | None:
    """Return the id of the voice for a name of Kyutai's or of ours; None is the default voice.

    A voice of Kyutai's is spoken by Kyutai's model (``kyutai:NAME``) where it runs, and otherwise replaced by
    one of its language and sex. An unknown name is the default voice, as in moshi-server.
    """
    if not name:
        return None
    name = _OFFSET.sub("", name)
    own = f"kyutai:{name}"
    if any(voice.id == own for engine in service.engines for voice in engine.voices):
        return own
    known = _known_voice(name)
    if known is None:
        try:
            service.catalogue.find(name)
        except InvalidRequest:
            return None
        return name
    language, gender = known
    for engine in service.engines:
        if language in engine.default_voices:
            default = engine.default_voices[language]
            voices = engine.voices_for(language)
            return next((voice.id for voice in voices if not gender or voice.gender == gender), default)
    return None


def _known_voice(name: str) -> tuple[str, str] | None:
    """Return language and sex of a voice of Kyutai's, also by just its file name."""
    known = {**KNOWN_VOICES, **{file.rpartition("/")[2]: voice for file, voice in KNOWN_VOICES.items()}}
    if name in known:
        return known[name]
    return next((voice for folder, voice in VOICE_FOLDERS.items() if name.startswith(folder)), None)


def _number(query: QueryParams, name: str, kind: type[N], allowed: Range | None = None) -> N | None:
    given = query.get(name)
    if given is None or given in _UNSET:
        return None
    try:
        value = kind(given)
    except ValueError as error:
        raise InvalidRequest(name, f"has to be a {'whole ' if kind is int else ''}number") from error
    if allowed is not None:
        allowed.check(name, value)
    return value
