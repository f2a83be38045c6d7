"""Requests of these calls, and their transcripts: fields come in the query or in the form."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct
from starlette.requests import Request

from kani.core.audio.recording_file import Clip
from kani.core.diarization.diarizer import MAX_SPEAKERS
from kani.core.errors import InvalidRequest
from kani.core.expected_words import as_prompt
from kani.core.request import Range
from kani.core.service import SpeechService
from kani.core.session.transcription import WHOLE
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.shared.calls.bodies import about, read_form, unknown_fields, within
from kani.protocols.shared.recordings.transcript import Segments, Transcript, transcribing
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUploads
from kani.protocols.shared.tasks import cancel_on_disconnect

PROTOCOL = "whisper"

ENOUGH_SPEECH_S = 30.0
"""Seconds of speech by which a language is detected."""

SpokenLanguage = Callable[[str | None], str | None]

Language = Annotated[str | None, about("Code or name of the spoken language; detected by default.")]
Prompt = Annotated[str, about("Text that precedes the recording.", max_length=16 * 1024)]
Encoded = Annotated[bool, about("False for bare samples: 16 bits, little-endian, mono, 16000 Hz.")]
Speakers = Annotated[int, Meta(ge=1, le=MAX_SPEAKERS)]
Milliseconds = Annotated[int, within(Range(0, int(MAX_RECORDING_S) * 1000), "Milliseconds.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Request about a recording."""

    options: TranscriptionOptions
    output: str = ""
    words: bool = False
    pcm: bool = False  # whether the file has no header
    clip: Clip = WHOLE
    diarize: bool = False
    speakers: int | None = None  # their greatest number
    enough_s: float = math.inf  # seconds of speech after which no more is heard


class AsrFields(Struct, kw_only=True):
    """Fields of POST /asr."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: Language = None
    initial_prompt: Prompt = ""
    encode: Encoded = True
    output: Literal["txt", "vtt", "srt", "tsv", "json"] = "txt"
    word_timestamps: Annotated[bool, about("Whether json has the words of each segment.")] = False
    diarize: Annotated[bool, about("Whether the speakers are told apart.")] = False
    max_speakers: Annotated[Speakers | None, about("Most speakers that diarize finds.")] = None

    def wanted(self, spoken: SpokenLanguage) -> Wanted:
        """Raises UnsupportedLanguage."""
        translate, prompt = self.task == "translate", as_prompt((), self.initial_prompt)
        return Wanted(
            TranscriptionOptions(spoken(self.language), translate=translate, prompt=prompt),
            self.output,
            words=self.word_timestamps,
            pcm=not self.encode,
            diarize=self.diarize,
            speakers=self.max_speakers,
        )


class DetectionFields(Struct, kw_only=True):
    """Fields of POST /detect-language."""

    encode: Encoded = True
    detect_lang_offset: Annotated[int, within(Range(0, int(MAX_RECORDING_S)), "Seconds left out.")] = 0
    detect_lang_length: Annotated[int, within(Range(1, 600), "Seconds of speech.")] = int(ENOUGH_SPEECH_S)

    def wanted(self, _: SpokenLanguage) -> Wanted:
        return Wanted(
            TranscriptionOptions(),
            pcm=not self.encode,
            clip=Clip(self.detect_lang_offset),
            enough_s=self.detect_lang_length,
        )


class InferenceFields(Struct, kw_only=True):
    """Fields of POST /inference."""

    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] = "json"
    language: Language = None
    translate: bool = False
    prompt: Prompt = ""
    temperature: Annotated[float, within(Range(0, 1), "Sampling temperature.")] = 0.0
    offset_t: Annotated[Milliseconds, about("Beginning of what is heard.")] = 0
    duration: Annotated[Milliseconds, about("Its length; 0 for all.")] = 0

    def wanted(self, spoken: SpokenLanguage) -> Wanted:
        """Raises UnsupportedLanguage."""
        return Wanted(
            TranscriptionOptions(
                spoken(self.language),
                translate=self.translate,
                prompt=as_prompt((), self.prompt),
                temperature=self.temperature,
            ),
            self.response_format,
            words=self.response_format == "verbose_json",
            clip=Clip(self.offset_t / 1000, self.duration / 1000 or math.inf),
        )


Fields = AsrFields | DetectionFields | InferenceFields


async def hear(
    request: Request, service: SpeechService, uploads: AudioUploads, kind: type[Fields]
) -> tuple[Transcript, Wanted, Sequence[str]]:
    """Return the transcript of a request's recording, what was asked, and the fields without effect.

    Raises ClientDisconnect, and SpeechError: WrongFields, FileTooLarge and all that a recording raises.
    """
    async with uploads.receive(request, service.budgets.recordings) as upload:
        query = request.query_params
        given: dict[str, Sequence[str]] = {**upload.fields, **{name: query.getlist(name) for name in query}}
        wanted = read_form(given, kind).wanted(service.recognition.spoken)
        if upload.file is None:
            raise InvalidRequest(uploads.part, "a file is needed")
        given_file = request, service, PROTOCOL, upload.file, wanted.options
        heard = transcribing(*given_file, diarize=wanted.diarize, pcm=wanted.pcm, clip=wanted.clip)
        async with heard as (session, segments):
            enough = _enough(segments, wanted.enough_s)
            collected = Transcript.of(session, enough, wanted.options.language, wanted.speakers)
            transcript = await cancel_on_disconnect(request, collected)
    values = (name for name, texts in given.items() if any(texts))
    return transcript, wanted, unknown_fields(values, {uploads.part, *kind.__struct_fields__})


async def _enough(segments: Segments, seconds: float) -> Segments:
    """Yield segments until they last ``seconds`` together."""
    async for segment in segments:
        yield segment
        seconds -= segment.end_s - segment.start_s
        if seconds <= 0:
            return
