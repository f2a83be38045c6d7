"""OpenAI's custom voices and consents, by its own SDK, beside this server's on the same path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.protocols.test_voices_api import form, recording
from tests.support.app_server import AppServer

VOICES, CONSENTS = "/v1/audio/voices", "/v1/audio/voice_consents"


@pytest.fixture
def sdk(espeak_app: AppServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{espeak_app.http_url}/v1", api_key="any", max_retries=0, timeout=300) as client:
        yield client
        for consent in client.audio.voice_consents.list():
            client.audio.voice_consents.delete(consent.id)


def add_consent(sdk: OpenAI, name: str = "Ana's consent") -> Any:
    return sdk.audio.voice_consents.create(
        name=name, language="es-MX", recording=("consent.wav", recording(2.0), "audio/wav")
    )


def test_voice_is_made_spoken_and_deleted(sdk: OpenAI) -> None:
    consent = add_consent(sdk)
    assert consent.id.startswith("cons_") and (consent.language, consent.object) == (
        "es-MX",
        "audio.voice_consent",
    )
    sample = ("ana.wav", recording(), "audio/wav")
    voice = sdk.audio.voices.create(name="Ana de Openai", audio_sample=sample, consent=consent.id)
    assert (voice.name, voice.object, voice.type) == ("Ana_de_Openai", "audio.voice", "audio_sample")
    assert voice.created_at > 1_700_000_000
    spoken = sdk.audio.speech.create(
        model="tts-1", voice={"id": voice.id}, input="Hola.", response_format="pcm"
    )
    assert len(spoken.content) > 4800
    listed = sdk.get("/audio/voices", cast_to=httpx.Response).json()["voices"]
    ours = next(one for one in listed if one["id"] == voice.id)
    assert ours["kept"] and ours["consent_recording"] and ours["language"] == "es-MX"
    gone = sdk.audio.voices.delete(voice.id)
    assert gone.deleted and (gone.id, gone.object) == (voice.id, "audio.voice.deleted")
    with pytest.raises(NotFoundError):
        sdk.audio.voices.delete(voice.id)


def test_consents_are_listed_in_pages_and_renamed(sdk: OpenAI) -> None:
    made = {add_consent(sdk, str(number)).id for number in range(3)}
    page = sdk.audio.voice_consents.list(limit=2)
    assert len(page.data) == 2 and page.has_more
    assert {consent.id for consent in page} == made
    one = made.pop()
    deep = b'{"name": "deep", "x": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert httpx.post(f"{sdk.base_url}audio/voice_consents/{one}", content=deep).status_code == 400
    assert sdk.audio.voice_consents.update(one, name="new").name == "new"
    assert sdk.audio.voice_consents.retrieve(one).name == "new"
    assert sdk.audio.voice_consents.delete(one).deleted
    for call in (sdk.audio.voice_consents.retrieve, sdk.audio.voice_consents.delete):
        with pytest.raises(NotFoundError) as refused:
            call(one)
        assert refused.value.param == "consent"


@pytest.mark.parametrize(
    ("fields", "audio", "param"),
    [
        ({"type": "prompt", "prompt": "a pirate"}, None, "type"),
        ({"consent": "cons_" + "0" * 24}, b"", "consent"),
        ({"consent": "../../etc"}, b"", "consent"),
        ({}, b"", "consent"),
        ({"name": " "}, b"", "name"),
        ({"name": "a/b"}, b"", "name"),
    ],
)
def test_invalid_voice_is_refused(
    sdk: OpenAI, espeak_app: AppServer, fields: dict[str, str], audio: bytes | None, param: str
) -> None:
    valid = {"consent": add_consent(sdk).id} if param != "consent" else {}
    files = {} if audio is None else {"audio_sample": ("a.wav", recording(), "audio/wav")}
    answer = httpx.post(
        espeak_app.http_url + VOICES,
        data={"name": "ana"} | valid | fields,
        files=files or {"none": (None, "")},
        timeout=300,
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, param, "invalid_request_error")


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"recording": ("a.wav", b"no audio", "audio/wav")}, "recording"),
        ({"recording": ("a.wav", b"", "audio/wav")}, "recording"),
        ({"recording": ("a.wav", recording(0.5), "audio/wav")}, "recording"),
        ({"language": "klingonish"}, "language"),
        ({"language": ""}, "language"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_invalid_consent_is_refused(sdk: OpenAI, changed: dict[str, Any], param: str) -> None:
    given = {"name": "a", "language": "es", "recording": ("a.wav", recording(2.0), "audio/wav")}
    with pytest.raises(BadRequestError) as refused:
        sdk.audio.voice_consents.create(**given | changed)
    assert refused.value.param == param
    assert not sdk.audio.voice_consents.list().data


@pytest.mark.parametrize("limit", ["0", "101", "-1", "a", "9" * 50])
def test_invalid_page_is_refused(espeak_app: AppServer, limit: str) -> None:
    answer = httpx.get(espeak_app.http_url + CONSENTS, params={"limit": limit})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


def test_this_servers_form_is_answered_as_before(espeak_app: AppServer) -> None:
    url = espeak_app.http_url + VOICES
    stored = httpx.post(url, timeout=300, **form(name="bea"))
    assert stored.status_code == 201 and stored.json()["kept"]
    assert httpx.delete(f"{url}/bea").status_code == 204
