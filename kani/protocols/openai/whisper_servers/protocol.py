"""Other Whisper servers' calls as the server mounts them: /asr, /detect-language, /status, /inference."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.core.subtitles import WRITERS, segment_cues
from kani.core.transcriber import TranscribedSegment
from kani.engines.plugin_settings import PluginSettings
from kani.protocols.openai.errors import api_error
from kani.protocols.openai.transcription.answers import language_name, segment_fields
from kani.protocols.openai.whisper_servers.request import AsrFields, DetectionFields, InferenceFields, hear
from kani.protocols.shared.calls.bodies import unused_header
from kani.protocols.shared.calls.call import FORM, Answer, Body, Call, CallGroup, json_answer
from kani.protocols.shared.calls.schemas import fields, file, form, items, mapping, number, text
from kani.protocols.shared.errors import Handler, answering
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import Context, PathClass, Protocol, Refusal
from kani.protocols.shared.recordings.transcript import Transcript
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUploads

UNKNOWN = ("Unknown", "und")
"""Name and code of the language of a recording without speech."""


def as_text(transcript: Transcript, output: str) -> str:
    """Return a file of the kind ``output``: srt, vtt, tsv, or lines of text."""
    cues = segment_cues(transcript.segments)
    if (write := WRITERS.get(output)) is not None:
        return write(cues)
    if output == "tsv":
        times = ((round(cue.start_s * 1000), round(cue.end_s * 1000), cue.lines[0]) for cue in cues)
        rows = (f"{start}\t{end}\t{' '.join(line.split())}\n" for start, end, line in times)
        return "start\tend\ttext\n" + "".join(rows)
    return "".join(f"{cue.lines[0]}\n" for cue in cues)


def as_lines(transcript: Transcript) -> str:
    """Return the text as whisper.cpp writes it: each segment with a blank before it, and a line end."""
    return "".join(f" {segment.text.strip()}\n" for segment in transcript.segments)


def whisper_cpp_result(transcript: Transcript, *, translate: bool) -> dict[str, Any]:
    """Return whisper.cpp's verbose_json."""
    name, code = language(transcript)
    probability = round(transcript.language_probability, 4)
    return {
        "task": "translate" if translate else "transcribe",
        "language": name,
        "duration": round(transcript.duration_s, 3),
        "text": as_lines(transcript),
        "segments": [_segment(*each, words=True) for each in enumerate(transcript.segments)],
        "detected_language": name,
        "detected_language_probability": probability,
        "language_probabilities": {code: probability},
    }


def language(transcript: Transcript) -> tuple[str, str]:
    """Return the name and the code of what is spoken."""
    code = transcript.language
    return (language_name(code), code) if code else UNKNOWN


def _segment(number: int, segment: TranscribedSegment, *, words: bool) -> dict[str, Any]:
    speaker = {} if segment.speaker is None else {"speaker": f"SPEAKER_{segment.speaker:02}"}
    return segment_fields(number, segment) | speaker | ({"words": [*_words(segment)]} if words else {})


def _words(segment: TranscribedSegment) -> Iterator[dict[str, Any]]:
    """Yield the words; together they are the segment's text."""
    at = 0
    for word in segment.words:
        end = max(segment.text.find(word.text, at), at) + len(word.text)
        yield {
            "word": segment.text[at:end],
            "start": round(word.start_s, 3),
            "end": round(word.end_s, 3),
            "probability": round(math.exp(word.log_probability), 4),
        }
        at = end


ASR, DETECT, INFERENCE, STATUS = "/asr", "/detect-language", "/inference", "/status"

ERROR = {ASR: "detail", DETECT: "detail", INFERENCE: "error"}
"""Name of the sentence in an error, by the call."""

FIELDS = {
    ASR: {"file": "audio_file"},
    DETECT: {"file": "audio_file", "start": "detect_lang_offset"},
    INFERENCE: {"file": "file", "start": "offset_t"},
}
"""Names of the core's fields, by the call."""

_PLAIN = "text/plain"
_UNUSED = {"X-Unused": "Names of the given fields without effect."}
_MEDIA_TYPES = {"text": _PLAIN, "srt": "application/x-subrip", "vtt": "text/vtt"}
"""Content types of /inference's formats that are no JSON."""


def protocol(_: PluginSettings, server: ServerSettings) -> Protocol:
    uploads = {path: AudioUploads(server.max_upload, part=names["file"]) for path, names in FIELDS.items()}

    def routes(context: Context) -> list[BaseRoute]:
        async def status(request: Request) -> Response:
            return JSONResponse({"version": f"Kani-TTS server {server.version}"})

        return [*_routes(context.service, uploads), Route(STATUS, status)]

    return Protocol(
        routes,
        # Bazarr asks for it without a key.
        paths={STATUS: PathClass.PUBLIC},
        refusals={path: partial(_refusal_body, name) for path, name in ERROR.items()},
        max_body={path: each.max_body for path, each in uploads.items()},
        calls=lambda: _call_group(server.max_upload),
    )


def _refusal_body(name: str, refusal: Refusal) -> dict[str, Any]:
    return {name: refusal.reason}


def _routes(service: SpeechService, uploads: Mapping[str, AudioUploads]) -> list[BaseRoute]:
    async def asr(request: Request) -> Response:
        transcript, wanted, unused = await hear(request, service, uploads[ASR], AsrFields)
        recognizer = service.recognition.recognizer
        headers = unused_header(unused) | {
            "asr-engine": recognizer.info.name if recognizer is not None else "",
            "content-disposition": f'attachment; filename="transcript.{wanted.output}"',
        }
        if wanted.output == "json":
            # As Whisper's own program writes it.
            segments = [_segment(*each, words=wanted.words) for each in enumerate(transcript.segments)]
            result = {"text": transcript.text, "segments": segments, "language": transcript.language}
            return JSONResponse(result, headers=headers, media_type=_PLAIN)
        return Response(as_text(transcript, wanted.output), headers=headers, media_type=_PLAIN)

    async def detect(request: Request) -> Response:
        transcript, _, unused = await hear(request, service, uploads[DETECT], DetectionFields)
        name, code = language(transcript)
        confidence = round(transcript.language_probability, 4)
        found = {"detected_language": name, "language_code": code, "confidence": confidence}
        return JSONResponse(found, headers=unused_header(unused))

    async def inference(request: Request) -> Response:
        transcript, wanted, unused = await hear(request, service, uploads[INFERENCE], InferenceFields)
        headers = unused_header(unused)
        match wanted.output:
            case "json":
                return JSONResponse({"text": as_lines(transcript)}, headers=headers)
            case "verbose_json":
                result = whisper_cpp_result(transcript, translate=wanted.options.translate)
                return JSONResponse(result, headers=headers)
            case "text":
                content = as_lines(transcript)
            case _:
                content = as_text(transcript, wanted.output)
        return Response(content, headers=headers, media_type=_MEDIA_TYPES[wanted.output])

    handlers: dict[str, Handler] = {ASR: asr, DETECT: detect, INFERENCE: inference}
    return [Route(path, _endpoint(path, handler), methods=["POST"]) for path, handler in handlers.items()]


def _endpoint(path: str, handler: Handler) -> Handler:
    """Wrap a handler so that its errors become a status and a sentence."""

    def refuse(error: SpeechError) -> Response:
        answer = api_error(error, FIELDS[path])
        return answer.response({ERROR[path]: str(answer)})

    return answering(handler, refuse, SpeechError)


def _call_group(max_upload: int) -> CallGroup:
    size = f"The recording: at most {max_upload >> 20} MiB and {MAX_RECORDING_S:g} s."
    result = fields("", [], text=text(), language=text(), duration=number(), segments=items(mapping()))
    detected = fields(detected_language=text(), language_code=text(), confidence=number())
    errors = (400, 413, 429, 500, 503, 504)
    return CallGroup(
        "Whisper servers",
        "Calls of whisper-asr-webservice and subgen, as Bazarr makes them, and of whisper.cpp's server. "
        "Fields may be in the query as well.",
        "WhisperServerError",
        fields("", [], detail=text(), error=text()),
        (
            Call(
                f"POST {ASR}",
                "Transcribe a recording as whisper-asr-webservice does",
                Answer("The transcript, in the form that output names.", {_PLAIN: text()}, _UNUSED),
                body=Body(form(AsrFields, audio_file=file(size)), {"audio_file": "@recording.wav"}, FORM),
                errors=errors,
            ),
            Call(
                f"POST {DETECT}",
                "Detect the language of a recording",
                json_answer("The language; und without speech.", detected),
                body=Body(
                    form(DetectionFields, audio_file=file(size)), {"audio_file": "@recording.wav"}, FORM
                ),
                errors=errors,
            ),
            Call(
                f"POST {INFERENCE}",
                "Transcribe a recording as whisper.cpp's server does",
                Answer(
                    "The transcript.",
                    {"application/json": result, **dict.fromkeys(_MEDIA_TYPES.values(), text())},
                    _UNUSED,
                ),
                body=Body(form(InferenceFields, file=file(size)), {"file": "@recording.wav"}, FORM),
                errors=errors,
            ),
            Call(f"GET {STATUS}", "Show the version", json_answer("The version.", fields(version=text()))),
        ),
    )
