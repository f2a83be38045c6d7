"""Descriptions of ElevenLabs' HTTP calls."""

from collections.abc import Mapping

from kani.core.audio.encoding import AudioFormat
from kani.core.audio.pcm import MEDIA_TYPES
from kani.core.session.alignment import MAX_TEXT as MAX_ALIGNED
from kani.protocols.elevenlabs.formats import DEFAULT_FORMAT, FORMATS, STREAMABLE_FORMATS
from kani.protocols.elevenlabs.http.body import DialogueFields, SpeechFields
from kani.protocols.elevenlabs.http.lists import DEFAULT_PAGE_SIZE, MAX_SEARCH_LENGTH, PAGE_SIZE_RANGE
from kani.protocols.elevenlabs.http.speech_to_text import TranscriptionFields
from kani.protocols.elevenlabs.http.voices import CONSENT_HEADER, MAX_FILES
from kani.protocols.elevenlabs.models import DEFAULT_MODEL
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.single_use_tokens import LIFE_S, PATHS
from kani.protocols.elevenlabs.voice_settings import Settings
from kani.protocols.shared.calls.call import (
    FORM,
    Answer,
    Body,
    Call,
    CallGroup,
    Parameter,
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

_SPEECH_ERRORS = (400, 404, 422, 429, 500, 503, 504)
_VOICE = path_parameter("voice_id", "Id of a voice of ElevenLabs' or of this server.", "21m00Tcm4TlvDq8ikWAM")
_UNUSED = "Names of the given fields without effect."  # description of x-unused
_HEADERS = {
    "request-id": "Id of the request in the server's log.",
    "character-cost": "Characters of the text.",
    "x-unused": _UNUSED,
    "x-cloning": "Kind of cloning of a stored voice.",
    "x-ai-generated": '"true": the speech is synthetic.',
}

_STORED = path_parameter("voice_id", "Id of a voice that a client stored.", "custom:eva")
_SAMPLE = path_parameter("sample_id", "Id of the voice's recording.", "0a1b2c3d4e5f60718293")


def error_schema() -> Schema:
    """Return the schema of an error: an object, or FastAPI's list for a body of the wrong form."""
    detail = fields(
        "", ["message"], type=text(), code=text(), message=text(), status=text(), request_id=text()
    )
    wrong = items(fields("", ["type", "loc", "msg"], type=text(), loc=items({}), msg=text(), input={}))
    return fields(detail={"anyOf": [detail, wrong]})


_SIGNED = "/v1/convai/conversation/get-signed-url"


def call_group(settings: ElevenLabsSettings, max_upload: int) -> CallGroup:
    return CallGroup(
        "ElevenLabs",
        "ElevenLabs' API: speech, dialogues, transcription, voices. Its WebSockets are on "
        "/v1/text-to-speech/{voice_id} and /v1/text-to-dialogue: /stream-input and /multi-stream-input; and "
        "/v1/speech-to-text/realtime and /v1/convai/conversation.",
        "ElevenLabsError",
        error_schema(),
        (
            *_speech(settings),
            *_lists(),
            *_voices(),
            _transcription(max_upload),
            _alignment(max_upload),
            _token(),
        ),
    )


def _speech(settings: ElevenLabsSettings) -> list[Call]:
    said = {"text": "Hello.", "model_id": DEFAULT_MODEL}
    inputs = [{"text": "Hello.", "voice_id": _VOICE.schema["examples"][0]}]
    segment = fields(
        voice_id=text(),
        start_time_seconds=number(),
        end_time_seconds=number(),
        character_start_index=whole(),
        character_end_index=whole(),
        dialogue_input_index=whole(),
    )
    return [
        *_four_calls(
            "/v1/text-to-speech/{voice_id}",
            "a text",
            (_VOICE,),
            Body(struct(SpeechFields, text=settings.max_text), said, name="ElevenLabsSpeech"),
            {},
        ),
        *_four_calls(
            "/v1/text-to-dialogue",
            "a dialogue",
            (),
            Body(struct(DialogueFields), {"inputs": inputs}, name="ElevenLabsDialogue"),
            {"voice_segments": items(segment)},
        ),
    ]


def _four_calls(
    path: str, what: str, parameters: tuple[Parameter, ...], body: Body, timed_fields: Mapping[str, Schema]
) -> list[Call]:
    """Return the calls for ``what``: whole and streamed, with and without times."""
    alignment = fields(
        characters=items(text()),
        character_start_times_seconds=items(number()),
        character_end_times_seconds=items(number()),
    )
    alignments = {name: nullable(alignment) for name in ("alignment", "normalized_alignment")}
    timed = fields("", None, audio_base64=text(), **alignments, **timed_fields)
    whole_answers = (
        audio_answer("The audio.", *_content_types(FORMATS), headers=_HEADERS),
        Answer("The audio and its times.", {"application/json": timed}, _HEADERS),
    )
    about = "The audio, sent while it is synthesized."
    streamed_answers = (
        audio_answer(about, *_content_types(STREAMABLE_FORMATS), headers=_HEADERS),
        Answer("A line of JSON for each block of audio.", {"application/x-ndjson": text()}, _HEADERS),
    )
    ends = (("", ""), ("/with-timestamps", ", with the times of its characters"))
    return [
        Call(
            f"POST {path}{stream}{end}",
            f"Speak {what}{while_made}{with_times}",
            answer,
            parameters=(
                *parameters,
                *query(output_format=choice(formats, "Format of the audio.", default=DEFAULT_FORMAT)),
            ),
            body=body,
            errors=_SPEECH_ERRORS,
        )
        for stream, while_made, formats, answers in (
            ("", "", FORMATS, whole_answers),
            ("/stream", " while it is synthesized", STREAMABLE_FORMATS, streamed_answers),
        )
        for (end, with_times), answer in zip(ends, answers, strict=True)
    ]


def _content_types(formats: Mapping[str, AudioFormat]) -> list[str]:
    return [audio_format.content_type for audio_format in formats.values()]


def _lists() -> list[Call]:
    voice = fields(
        "",
        ["voice_id", "name", "category"],
        voice_id=text(),
        name=text(),
        category=choice(("premade", "cloned")),
        labels=mapping("", text()),
        description=nullable(text()),
        preview_url=nullable(text()),
        settings=struct(Settings),
        samples={"anyOf": [items(mapping()), {"type": "null"}]},
    )
    page = fields(voices=items(voice), has_more=flag(), total_count=whole(), next_page_token=nullable(text()))
    search = query(
        search=text("Words in id, name, language or gender.", longest=MAX_SEARCH_LENGTH),
        sort=text("name: by name."),
        sort_direction=text("desc: from the last to the first."),
        category=text("premade or cloned."),
        voice_type=text("personal, default or others of ElevenLabs' types."),
        page_size=whole("Voices of one page.", PAGE_SIZE_RANGE, default=DEFAULT_PAGE_SIZE),
        next_page_token=text("That of the page before."),
    )
    subscription = fields(
        "", ["tier", "character_limit"], tier=text(), character_limit=whole(), voice_slots_used=whole()
    )
    user = fields("", ["user_id"], user_id=text(), subscription=subscription)
    model = fields(
        "", ["model_id", "name"], model_id=text(), name=text(), languages=items(mapping("", text()))
    )
    history = fields(history=items({}), has_more=flag())
    named = text("Name of the agent's file; any other is the server's own agent.")
    agent = (Parameter("agent_id", named, required=True),)
    rows: tuple[tuple[str, str, Schema, tuple[Parameter, ...]], ...] = (
        ("/v1/voices", "List the voices", fields(voices=items(voice)), ()),
        ("/v2/voices", "Search the voices", page, search),
        ("/v1/voices/settings/default", "Show the default settings of a voice", struct(Settings), ()),
        ("/v1/voices/{voice_id}", "Show a voice", voice, (_VOICE,)),
        ("/v1/voices/{voice_id}/settings", "Show the settings of a voice", struct(Settings), (_VOICE,)),
        ("/v1/models", "List the models, for clients that send xi-api-key", items(model), ()),
        ("/v1/user", "Show the account, which is never charged", user, ()),
        ("/v1/user/subscription", "Show the account's limits", subscription, ()),
        ("/v1/history", "List what was spoken: nothing is kept", history, ()),
        (_SIGNED, "Give an address of an agent's conversation", fields(signed_url=text()), agent),
    )
    return [
        Call(
            f"GET {path}",
            summary,
            json_answer("The answer.", schema),
            parameters=parameters,
            errors=(400,) if path in ("/v2/voices", _SIGNED) else (404,) if "{" in path else (),
        )
        for path, summary, schema, parameters in rows
    ]


def _voices() -> list[Call]:
    recordings = f"1 to {MAX_FILES} recordings, 10 MiB together; several are joined."
    labels = "A JSON object of strings; language and consent have an effect."
    consent = Parameter(CONSENT_HEADER, text("The consent, for clients without a field for it."), "header")
    form: dict[str, Schema] = {
        "name": text("Name of the voice; spaces become underscores."),
        "files": items(file("A recording."), recordings),
        "description": text(),
        "labels": text(labels),
        "consent": text("Consent of the recorded person, in words; labels and a header may hold it too."),
        "remove_background_noise": flag("Without effect on this server."),
    }
    status = fields("", ["status"], status=text(), voice_id=text())
    errors = (400, 404, 422, 429, 500, 503, 507)
    return [
        Call(
            "POST /v1/voices/add",
            "Store a voice",
            json_answer(
                "The id of the voice, and advice on the recording.",
                fields(voice_id=text(), requires_verification=flag(), advice=items(text())),
            ),
            parameters=(consent,),
            body=Body(
                fields("", ["name", "files"], **form),
                {"name": "eva", "files": "@recording.wav", "consent": "I agree. Eva"},
                FORM,
            ),
            errors=(*errors, 413),
        ),
        Call(
            "POST /v1/voices/{voice_id}/edit",
            "Rename a stored voice",
            json_answer("Renamed.", status),
            about="Only the name can be changed: files, description and language belong to the recording.",
            parameters=(_STORED,),
            body=Body(fields("", ["name"], **form), {"name": "eva"}, FORM),
            errors=(*errors, 413),
        ),
        Call(
            "DELETE /v1/voices/{voice_id}",
            "Delete a stored voice",
            json_answer("Deleted.", status),
            parameters=(_STORED,),
            errors=errors,
        ),
        Call(
            "GET /v1/voices/{voice_id}/samples/{sample_id}/audio",
            "Play the recording of a stored voice",
            audio_answer("The recording.", *MEDIA_TYPES.values()),
            parameters=(_STORED, _SAMPLE),
            errors=(404, 503),
        ),
        Call(
            "DELETE /v1/voices/{voice_id}/samples/{sample_id}",
            "Refuse to delete the only recording of a voice",
            {},
            parameters=(_STORED, _SAMPLE),
            errors=(400, 404),
        ),
    ]


def _transcription(max_upload: int) -> Call:
    size = f"The recording: at most {max_upload >> 20} MiB and {MAX_RECORDING_S:g} s."
    answer = fields(
        "",
        ["language_code", "language_probability", "text", "words"],
        language_code=text(),
        language_probability=number(),
        text=text(),
        words=items(mapping()),
        transcription_id=text(),
        audio_duration_secs=number(),
        additional_formats=items(mapping()),
    )
    return Call(
        "POST /v1/speech-to-text",
        "Transcribe a recording",
        json_answer("The transcript.", answer, x_unused=_UNUSED),
        body=Body(
            form(TranscriptionFields, file=file(size)),
            {"file": "@recording.wav", "model_id": "scribe_v1"},
            FORM,
        ),
        errors=(400, 413, 422, 429, 500, 503, 504),
    )


def _alignment(max_upload: int) -> Call:
    size = f"The recording: at most {max_upload >> 20} MiB and {MAX_RECORDING_S:g} s."
    said = text(f"What is said in it: at most {MAX_ALIGNED} characters.")
    timed: dict[str, Schema] = {"text": text(), "start": number("Seconds."), "end": number("Seconds.")}
    loss = number("0 for the text that is spoken, 1 for any other.")
    answer = fields(
        characters=items(fields("", None, **timed)),
        words=items(fields("", None, **timed, loss=loss)),
        loss=loss,
    )
    return Call(
        "POST /v1/forced-alignment",
        "Find the words of a text in a recording",
        json_answer("The times of words and characters.", answer, x_unused=_UNUSED),
        body=Body(
            fields("", ["file", "text"], file=file(size), text=said),
            {"file": "@recording.wav", "text": "Hello."},
            FORM,
        ),
        errors=(400, 413, 422, 429, 500, 503, 504),
    )


def _token() -> Call:
    kinds = ", ".join(PATHS)
    return Call(
        "POST /v1/single-use-token/{token_type}",
        "Make a key for one connection or call of a browser",
        json_answer(f"The token, valid for {LIFE_S:g} s.", fields("", ["token"], token=text())),
        parameters=(path_parameter("token_type", f"One of {kinds}.", "realtime_scribe"),),
        errors=(400, 429),
    )
