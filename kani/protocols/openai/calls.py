"""Descriptions of the HTTP calls of OpenAI's audio API."""

from kani.core.request import Range
from kani.protocols.openai.live import PATHS as LIVE_PATHS
from kani.protocols.openai.realtime.client_secrets import DEFAULT_LIFE_S, MAX_LIFE_S, MIN_LIFE_S
from kani.protocols.openai.realtime.unmute.lists import calls as unmute_calls
from kani.protocols.openai.realtime.webrtc.routes import PATH as CALLS_PATH
from kani.protocols.openai.speech import audio_file
from kani.protocols.openai.speech.body import SpeechFields
from kani.protocols.openai.speech.captions import MEDIA_TYPES as CAPTION_TYPES
from kani.protocols.openai.speech.captions import CaptionedFields, CaptionFields
from kani.protocols.openai.speech.create import SSE_TYPE
from kani.protocols.openai.speech.formats import DEFAULT_FORMAT, FORMATS, SAMPLE_RATE, SAMPLE_RATES
from kani.protocols.openai.transcription.answers import MEDIA_TYPES as TRANSCRIPT_TYPES
from kani.protocols.openai.transcription.params import TranscriptionFields, TranslationFields
from kani.protocols.openai.transcription.timestamps import (
    PATH,
    RTTM_TYPE,
    SPEAKERS_PATH,
    SPEECH_PATH,
    AlignmentFields,
    SpeakerFields,
    VoiceFields,
)
from kani.protocols.shared.calls.call import (
    BINARY,
    FORM,
    Answer,
    Body,
    Call,
    CallGroup,
    audio_answer,
    json_answer,
    path_parameter,
    query,
)
from kani.protocols.shared.calls.schemas import (
    Schema,
    choice,
    fields,
    file,
    flag,
    form,
    items,
    mapping,
    nullable,
    number,
    struct,
    text,
    whole,
)
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S

_SPEECH_ERRORS = (400, 429, 500, 503, 504)
_RECORDING_ERRORS = (400, 413, 429, 500, 503, 504)
_UNUSED = {"X-Unused": "Names of the given fields without effect."}
_EXAMPLE = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}


def error_schema() -> Schema:
    return fields(error=fields(message=text(), type=text(), param=nullable(text()), code=nullable(text())))


def call_group(max_text: int, max_upload: int) -> CallGroup:
    return CallGroup(
        "OpenAI",
        "OpenAI's audio API: speech, transcriptions, Realtime. Realtime's WebSocket is on /v1/realtime.",
        "OpenAIError",
        error_schema(),
        (*_speech(max_text), *_lists(), *_transcriptions(max_upload), *_realtime(), *unmute_calls()),
    )


def _speech(longest: int) -> tuple[Call, ...]:
    word = fields(word=text(), start=number("Seconds."), end=number("Seconds."))
    caption = fields(start=number("Seconds."), end=number("Seconds."), text=text())
    captions: Schema = fields(duration=number("Seconds."), words=items(word), captions=items(caption))
    timed = fields(word=text(), start_time=number("Seconds."), end_time=number("Seconds."))
    captioned = fields(
        audio=text("Audio in base64."),
        audio_format=text(),
        timestamps={"anyOf": [items(timed), {"type": "null"}]},
    )
    types = tuple(audio_format.content_type for audio_format in FORMATS.values())
    return (
        Call(
            "POST /v1/audio/speech",
            "Speak a text",
            audio_answer("The audio, sent while it is synthesized.", *types, SSE_TYPE, headers=_UNUSED),
            body=Body(struct(SpeechFields, input=longest), _EXAMPLE),
            errors=_SPEECH_ERRORS,
        ),
        Call(
            f"POST {audio_file.PATH}",
            "Make an audio file of samples",
            audio_answer("The file, at the samples' rate; an Opus has 48000 Hz.", *types),
            about=f"Samples of 16 bits, mono, little-endian; {audio_file.MAX_BYTES >> 20} MiB at most.",
            parameters=query(
                response_format=choice(FORMATS, "Format of the file.", default=DEFAULT_FORMAT),
                sample_rate=whole("Hertz of the samples.", SAMPLE_RATES, default=SAMPLE_RATE),
            ),
            body=Body(BINARY, "@samples.pcm", "application/octet-stream"),
            errors=(400, 503),
        ),
        Call(
            "POST /v1/audio/captions",
            "Make the subtitles of a spoken text",
            Answer(
                "The subtitles.",
                {kind: captions if name == "json" else text() for name, kind in CAPTION_TYPES.items()},
                _UNUSED,
            ),
            body=Body(struct(CaptionFields, input=longest), _EXAMPLE | {"format": "json"}),
            errors=_SPEECH_ERRORS,
        ),
        Call(
            "POST /dev/captioned_speech",
            "Speak a text with the times of its words, as Kokoro-FastAPI does",
            Answer("The audio and its words.", {"application/json": captioned}, _UNUSED),
            body=Body(struct(CaptionedFields, input=longest), _EXAMPLE | {"stream": False}),
            errors=_SPEECH_ERRORS,
        ),
    )


def _lists() -> tuple[Call, ...]:
    model = fields(
        "",
        ["id", "object", "created", "owned_by"],
        id=text(),
        object=choice(["model"]),
        created=whole("Seconds since 1970."),
        owned_by=text(),
        shutdown_date=nullable(text()),
        voices=items(fields(id=text(), name=text(), language=text())),
    )
    named = fields(id=text(), name=text())
    named_model = (path_parameter("model", "Name of a model, of the list for GET.", "tts-1"),)
    return (
        Call(
            "GET /v1/models",
            "List the models",
            json_answer("The models.", fields(object=choice(["list"]), data=items(model))),
        ),
        Call(
            "GET /v1/models/{model}",
            "Show a model",
            json_answer("The model.", model),
            parameters=named_model,
            errors=(404,),
        ),
        Call(
            "POST /v1/models/{model}",
            "Tell that a model is there, as Speaches does",
            {201: Answer("It is.", {"text/plain": text()})},
            parameters=named_model,
        ),
        Call(
            "DELETE /v1/models/{model}",
            "Tell that a model stays",
            json_answer("It does.", fields(id=text(), object=text(), deleted=flag(), detail=text())),
            parameters=named_model,
        ),
        Call(
            "GET /v1/audio/models",
            "List the models for speech",
            json_answer("The models.", fields(object=choice(["list"]), models=items(named))),
        ),
    )


def _transcriptions(max_upload: int) -> tuple[Call, ...]:
    size = f"The recording: at most {max_upload >> 20} MiB and {MAX_RECORDING_S:g} s."
    transcript = fields(
        "",
        ["text"],
        text=text(),
        task=text(),
        language=text(),
        duration=number("Seconds."),
        languages=items(fields(code=text())),
        logprobs=items(mapping()),
        segments=items(mapping()),
        words=items(mapping()),
        usage=mapping(),
    )
    plain = {kind.partition(";")[0]: text() for kind in TRANSCRIPT_TYPES.values()}
    timed = fields(
        "",
        ["text", "language", "duration", "sample_rate", "confidence", "words"],
        text=text(),
        language=text(),
        duration=number("Seconds."),
        sample_rate=whole("Hertz of the recording."),
        confidence=number("1 for the text that is spoken, 0 for any other."),
        words=items(mapping()),
    )
    turn = fields(start=number("Seconds."), end=number("Seconds."), speaker=text())
    turns = fields(duration=number("Seconds."), segments=items(turn))
    speech = items(fields(start=whole("Milliseconds."), end=whole("Milliseconds.")))
    example = {"file": "@recording.wav"}
    transcripts = {"application/json": transcript, **plain, SSE_TYPE: text()}
    return tuple(
        Call(
            f"POST {path}",
            summary,
            Answer(about, answers, _UNUSED),
            body=Body(form(kind, file=file(size)), example | given, FORM),
            errors=_RECORDING_ERRORS,
        )
        for path, summary, kind, given, about, answers in (
            (
                *(PATH, "Find the words of a text in a recording", AlignmentFields),
                *({"text": "Hello."}, "The words' times.", {"application/json": timed, **plain}),
            ),
            (
                *(SPEECH_PATH, "Find the speech in a recording, as Speaches does", VoiceFields),
                *({}, "When there is speech.", {"application/json": speech}),
            ),
            (
                *(SPEAKERS_PATH, "Tell who speaks when, as Speaches does", SpeakerFields),
                *({}, "The speakers' turns.", {"application/json": turns, RTTM_TYPE: text()}),
            ),
            (
                *("/v1/audio/transcriptions", "Transcribe a recording", TranscriptionFields),
                *({"model": "whisper-1"}, "The transcript.", transcripts),
            ),
            (
                *("/v1/audio/translations", "Translate a recording into English", TranslationFields),
                *({"model": "whisper-1"}, "The transcript.", transcripts),
            ),
        )
    )


def _realtime() -> tuple[Call, ...]:
    session = mapping("The configuration of a Realtime session, as in session.update.")
    life = fields(
        "Validity of the key.",
        [],
        anchor=choice(["created_at"]),
        seconds=whole("Seconds.", Range(MIN_LIFE_S, MAX_LIFE_S), default=DEFAULT_LIFE_S),
    )
    secret = {"value": text("The key."), "expires_at": whole("Seconds since 1970.")}
    errors = (400, 413, 429)
    transport = fields(type=choice(["webrtc"]), sdp=text())
    offer = text("An SDP offer of one audio track and a data channel; or a form with it in sdp, and session.")
    return (
        Call(
            f"POST {CALLS_PATH}",
            "Open a Realtime session by WebRTC",
            {201: Answer("The SDP answer.", {"application/sdp": text()}, {"location": "Path of the call."})},
            body=Body(offer, "v=0", "application/sdp"),
            errors=errors,
        ),
        *(
            Call(
                f"POST {path}",
                "Open a Live session by WebRTC",
                {201: json_answer("The SDP answer.", fields(session=fields(id=text()), transport=transport))},
                body=Body(
                    fields(session=mapping("As in session.start."), transport=transport),
                    {"session": {"model": "gpt-live-1"}, "transport": {"type": "webrtc", "sdp": "v=0"}},
                ),
                errors=(*errors, 403),
            )
            for path in LIVE_PATHS
        ),
        *(
            Call(
                f"POST {path}/{{{name}}}/hangup",
                "End a call",
                Answer("It has ended."),
                parameters=(path_parameter(name, about, example),),
                errors=(404,),
            )
            for path, name, about, example in (
                (CALLS_PATH, "call_id", "The last part of the call's location.", "rtc_1"),
                *((path, "session_id", "The id of the session.", "live_1") for path in LIVE_PATHS),
            )
        ),
        Call(
            "POST /v1/realtime/client_secrets",
            "Make an ephemeral key for Realtime",
            json_answer("The key.", fields("", None, **secret, session=mapping())),
            body=Body(
                fields("", [], expires_after=life, session=session),
                {"session": {"type": "realtime", "audio": {"output": {"voice": "alloy"}}}},
            ),
            errors=errors,
        ),
        *(
            Call(
                f"POST /v1/realtime/{name}",
                summary,
                json_answer(
                    "The session's configuration, with a key.",
                    fields(id=text(), client_secret=fields("", None, **secret)),
                ),
                body=Body(session, {}),
                errors=errors,
            )
            for name, summary in (
                ("sessions", "Make an ephemeral key, by the beta API"),
                ("transcription_sessions", "Make an ephemeral key for transcription, by the beta API"),
            )
        ),
    )
