"""Descriptions of the calls for voices and recorded consents."""

from kani.core.audio.pcm import MAX_RECORDING_BYTES, MAX_RECORDING_S, MEDIA_TYPES
from kani.core.request import Range
from kani.core.voices.store import MAX_CONSENT_NAME
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
    items,
    mapping,
    nullable,
    number,
    struct,
    text,
    whole,
)
from kani.protocols.voices_api.forms import VOICE_NAME, Label, Renamed
from kani.protocols.voices_api.openai_voices import DEFAULT_PAGE, MAX_PAGE
from kani.protocols.voices_api.openai_voices import PATH as CONSENTS_PATH
from kani.protocols.voices_api.preview import FORMATS

PATH = "/v1/audio/voices"
SPEECH_PATH = "/v1/audio/speech/voices"
"""Path of the same list for clients of Speaches."""

_ERRORS = (400, 404, 409, 413, 503, 507)
_VOICE = path_parameter("voice", "Id of a voice, or the name of a stored one.", "ana")
_CONSENT = path_parameter("consent", "Id of a consent.", "cons_0123456789abcdef")
_RECORDING = (
    f"At most {MAX_RECORDING_BYTES >> 20} MiB and {MAX_RECORDING_S:g} s, any format that FFmpeg reads."
)


def call_group() -> CallGroup:
    error = fields(
        "",
        ["message"],
        message=text(),
        type=text(),
        param=nullable(text()),
        code=nullable(text()),
        reason=_reason("The message for programs, where it has a code."),
    )
    return CallGroup(
        "Voices",
        "This server's voices, and the recordings that clients store as voices.",
        "VoicesError",
        fields(error=error),
        (*_lists(), *_changes(), *_consents()),
    )


def _reason(about: str) -> Schema:
    return fields(about, code=text(), values=mapping("Limits and what else the sentence quotes."))


def _voice() -> Schema:
    engine = fields("", ["engine", "cloning", "state"], engine=text(), cloning=text(), state=text())
    return fields(
        "",
        ["id", "name"],
        id=text(),
        name=text(),
        language=text(),
        gender=text(),
        engine=text(),
        pitch_hz=number("Median of its F0, where it was measured."),
        pitch_range=number("Semitones: for a third of the time its F0 is at least as far from that."),
        pace=number("Speed of its speech, beside the median of its language's voices (1)."),
        brightness_db=number("Level from 2 kHz on, in decibels below all of its sound."),
        light=text('When its light network speaks: "always" or "while no slot is free".'),
        kept=flag("Whether a client stored it."),
        description=text(),
        duration_s=number("Seconds of the recording."),
        advice=items(text(), "What would make the recording better."),
        advice_reasons=items(nullable(_reason("")), "Each sentence of the advice for programs."),
        engines=items(engine),
    )


def _lists() -> list[Call]:
    ids = flag("Whether the list holds only the ids.", default=False)
    listed = fields("", ["voices"], object=text(), voices=items({"anyOf": [_voice(), text()]}))
    calls = [
        Call(
            f"GET {each}",
            "List the voices",
            json_answer("The voices.", listed),
            about="Without a key, and while their place is away, the list has no voices that clients stored.",
            parameters=query(legacy=ids),
            errors=(503, 507),
        )
        for each in (PATH, SPEECH_PATH)
    ]
    shown = Call(
        f"GET {PATH}/{{voice}}",
        "Show a voice",
        json_answer("The voice.", _voice()),
        parameters=(_VOICE,),
        errors=(404, 503, 507),
    )
    sample = Call(
        f"GET {PATH}/{{voice}}/sample",
        "Play the recording of a stored voice",
        audio_answer("The recording.", *MEDIA_TYPES.values()),
        parameters=(_VOICE,),
        errors=(404, 503, 507),
    )
    preview = Call(
        f"GET {PATH}/{{voice}}/preview",
        "Hear a sentence in a voice",
        audio_answer("The sentence.", *(each.content_type for each in FORMATS.values())),
        about="It is spoken once and then kept in memory. Without a key only built-in voices are heard.",
        parameters=(
            _VOICE,
            *query(
                format=choice(FORMATS, "Format of the audio.", default=next(iter(FORMATS))),
                language=text("Tag of the sentence's language, for a stored voice that has none."),
            ),
        ),
        errors=(400, 404, 500, 503, 504, 507),
    )
    return [*calls, shown, sample, preview]


def _changes() -> list[Call]:
    form = fields(
        "Either audio with the consent in words or as a recording, or, as OpenAI's clients send it, "
        "audio_sample with the id of a consent.",
        ["name"],
        name=text(VOICE_NAME),
        audio=file(_RECORDING),
        consent=text("Consent of the recorded person, in words; with audio_sample the id of a consent."),
        consent_recording=file("The consent, spoken, instead of words."),
        language=text("Tag of the language that is spoken."),
        description=text(),
        audio_sample=file("The recording, for OpenAI's clients."),
        type=text("audio_sample, for OpenAI's clients."),
    )
    gone = fields(id=text(), deleted=flag(), object=text())
    return [
        Call(
            f"POST {PATH}",
            "Store a voice",
            {
                201: json_answer("The voice.", _voice()),
                200: json_answer("The voice, for OpenAI's clients.", mapping()),
            },
            body=Body(form, {"name": "ana", "audio": "@recording.wav", "consent": "I agree. Ana"}, FORM),
            errors=_ERRORS,
        ),
        Call(
            f"PATCH {PATH}/{{voice}}",
            "Rename a stored voice",
            json_answer("The voice.", _voice()),
            parameters=(_VOICE,),
            body=Body(struct(Renamed), {"name": "ana"}),
            errors=_ERRORS,
        ),
        Call(
            f"DELETE {PATH}/{{voice}}",
            "Delete a stored voice",
            {204: Answer("Deleted."), 200: json_answer("Deleted, for clients that accept JSON.", gone)},
            parameters=(_VOICE,),
            errors=(400, 404, 503, 507),
        ),
    ]


def _consents() -> list[Call]:
    consent = fields(
        id=text(), object=text(), name=text(), language=text(), created_at=whole("Seconds since 1970.")
    )
    name = text("Name of the consent.", longest=MAX_CONSENT_NAME)
    page = fields(
        object=choice(["list"]),
        data=items(consent),
        first_id=nullable(text()),
        last_id=nullable(text()),
        has_more=flag(),
    )
    form = fields(name=name, language=text("Tag of the language."), recording=file("The spoken consent."))
    stored = Body(form, {"name": "Ana", "language": "en", "recording": "@consent.wav"}, FORM)
    renamed = Body(struct(Label, name=MAX_CONSENT_NAME), {"name": "Eva"})
    pages = query(
        limit=whole("Consents of one page.", Range(1, MAX_PAGE), default=DEFAULT_PAGE),
        after=text("Id of the last consent of the page before."),
    )
    gone = fields(id=text(), object=text(), deleted=flag())
    rows: tuple[tuple[str, str, Schema, Body | None, tuple[Parameter, ...]], ...] = (
        (f"POST {CONSENTS_PATH}", "Store a spoken consent", consent, stored, ()),
        (f"GET {CONSENTS_PATH}", "List the consents", page, None, pages),
        (f"GET {CONSENTS_PATH}/{{consent}}", "Show a consent", consent, None, (_CONSENT,)),
        (f"POST {CONSENTS_PATH}/{{consent}}", "Rename a consent", consent, renamed, (_CONSENT,)),
        (f"DELETE {CONSENTS_PATH}/{{consent}}", "Delete a consent", gone, None, (_CONSENT,)),
    )
    errors = tuple(status for status in _ERRORS if status != 409)
    return [
        Call(
            route,
            summary,
            json_answer("The answer.", schema),
            parameters=parameters,
            body=body,
            errors=errors,
        )
        for route, summary, schema, body, parameters in rows
    ]
