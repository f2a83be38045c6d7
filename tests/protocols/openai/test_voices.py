"""Lists of models and voices, custom voices and consents, as OpenAI's clients have them."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import NotFoundError, OpenAI

from tests.protocols.voices_api.test_voices_api import form, recording
from tests.support.servers.app_server import KEY, AppServer, StartApp

VOICES, CONSENTS = "/v1/audio/voices", "/v1/audio/voice_consents"
MODELS, AUDIO_MODELS = "/v1/models", "/v1/audio/models"
SPEECH_VOICES = "/v1/audio/speech/voices"


@pytest.fixture
def sdk(espeak_app: AppServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{espeak_app.http_url}/v1", api_key="any", max_retries=0) as client:
        yield client
        for consent in client.audio.voice_consents.list():
            client.audio.voice_consents.delete(consent.id)


def add_consent(sdk: OpenAI, name: str = "Ana's consent") -> Any:
    return sdk.audio.voice_consents.create(
        name=name, language="es-MX", recording=("consent.wav", recording(2.0), "audio/wav")
    )


def test_voice_is_made_spoken_and_deleted(sdk: OpenAI) -> None:
    consent = add_consent(sdk)
    assert consent.id.startswith("cons_")
    assert (consent.language, consent.object) == ("es-MX", "audio.voice_consent")
    sample = ("ana.wav", recording(), "audio/wav")
    voice = sdk.audio.voices.create(name="Ana de Openai", audio_sample=sample, consent=consent.id)
    assert (voice.name, voice.object, voice.type) == ("Ana_de_Openai", "audio.voice", "audio_sample")
    assert voice.created_at > 1_700_000_000
    how: Any = {"model": "tts-1", "voice": {"id": voice.id}, "response_format": "pcm"}
    assert len(sdk.audio.speech.create(input="Hola.", **how).content) > 4800
    listed = sdk.get("/audio/voices", cast_to=httpx2.Response).json()["voices"]
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
    assert httpx2.post(f"{sdk.base_url}audio/voice_consents/{one}", content=deep).status_code == 400
    assert sdk.audio.voice_consents.update(one, name="new").name == "new"
    assert sdk.audio.voice_consents.retrieve(one).name == "new"
    assert sdk.audio.voice_consents.delete(one).deleted
    for call in (sdk.audio.voice_consents.retrieve, sdk.audio.voice_consents.delete):
        with pytest.raises(NotFoundError) as missing:
            call(one)
        assert missing.value.param == "consent"


def test_invalid_voice_is_refused(sdk: OpenAI) -> None:
    consent = add_consent(sdk).id
    for fields, param in (
        ({"type": "prompt", "prompt": "a pirate", "consent": consent}, "type"),
        ({"consent": "cons_" + "0" * 24}, "consent"),
        ({"consent": "../../etc"}, "consent"),
        ({}, "consent"),
        ({"name": " ", "consent": consent}, "name"),
        ({"name": "a/b", "consent": consent}, "name"),
    ):
        audio = (None, "") if param == "type" else ("a.wav", recording(), "audio/wav")
        form = {"data": {"name": "ana"} | fields, "files": {"audio_sample": audio}}
        answer = httpx2.post(f"{sdk.base_url}audio/voices", **form)
        error = answer.json()["error"]
        told = answer.status_code, error["param"], error["type"]
        assert told == (400, param, "invalid_request_error"), (fields, error)


def get(server: AppServer, path: str, **headers: str) -> httpx2.Response:
    return httpx2.get(server.http_url + path, headers=headers)


def test_models_are_openais_objects(espeak_app: AppServer) -> None:
    listed = get(espeak_app, MODELS).json()
    assert listed["object"] == "list"
    names = [model["id"] for model in listed["data"]]
    assert {"tts-1", "gpt-4o-mini-tts", "espeak"} <= {*names} and len({*names}) == len(names)
    assert all(model["object"] == "model" and model["created"] > 0 for model in listed["data"])
    one = get(espeak_app, f"{MODELS}/tts-1").json()
    assert one["id"] == "tts-1" and {"alloy", "espeak:es"} <= {voice["id"] for voice in one["voices"]}
    assert {"id": "tts-1", "name": "tts-1"} in get(espeak_app, AUDIO_MODELS).json()["models"]
    # ElevenLabs' clients get their own array.
    array = get(espeak_app, MODELS, **{"xi-api-key": "any"}).json()
    assert array[0]["model_id"] == "eleven_multilingual_v2"


@pytest.mark.parametrize("path", [VOICES, SPEECH_VOICES])
def test_every_voice_has_id_and_name(espeak_app: AppServer, path: str) -> None:
    voices = get(espeak_app, path).json()["voices"]
    # Open WebUI's own expression.
    assert {voice["id"]: voice["name"] for voice in voices}["espeak:es"]
    legacy = get(espeak_app, f"{path}?legacy=true").json()["voices"]
    assert legacy == [voice["id"] for voice in voices]


def test_names_need_no_key_and_stored_voices_do(start_app: StartApp) -> None:
    server = start_app(KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY)
    key = {"authorization": f"Bearer {KEY}"}
    stored = httpx2.post(server.http_url + VOICES, headers=key, **form(name="ana"))
    assert stored.status_code == 201
    for path in (VOICES, SPEECH_VOICES):
        for headers in ({}, {"authorization": "Bearer"}):
            assert "custom:ana" not in get(server, path, **headers).text
        assert "custom:ana" in get(server, path, **key).text
    for path in (MODELS, AUDIO_MODELS, f"{MODELS}/tts-1"):
        assert get(server, path).status_code == 200
    for path in (VOICES, MODELS):
        assert get(server, path, authorization="Bearer wrong").status_code == 401
        assert httpx2.post(server.http_url + path).status_code == 401
    assert get(server, f"{VOICES}/custom:ana").status_code == 401
