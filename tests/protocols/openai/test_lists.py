"""Models and voices as OpenAI's clients list them, with and without a key."""

from __future__ import annotations

import httpx
import pytest

from tests.protocols.test_voices_api import form
from tests.support.app_server import KEY, AppServer, StartApp

MODELS, AUDIO_MODELS, VOICES = "/v1/models", "/v1/audio/models", "/v1/audio/voices"
SPEECH_VOICES = "/v1/audio/speech/voices"


def get(server: AppServer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.http_url + path, headers=headers, timeout=300)


def test_models_are_openais_objects(espeak_app: AppServer) -> None:
    listed = get(espeak_app, MODELS).json()
    assert listed["object"] == "list"
    names = [model["id"] for model in listed["data"]]
    assert {"tts-1", "gpt-4o-mini-tts", "espeak"} <= {*names} and len({*names}) == len(names)
    assert all(model["object"] == "model" and model["created"] > 0 for model in listed["data"])
    one = get(espeak_app, f"{MODELS}/tts-1").json()
    assert one["id"] == "tts-1" and {"alloy", "espeak:es"} <= {voice["id"] for voice in one["voices"]}
    assert {"id": "tts-1", "name": "tts-1"} in get(espeak_app, AUDIO_MODELS).json()["models"]


def test_clients_of_elevenlabs_get_their_array(espeak_app: AppServer) -> None:
    listed = get(espeak_app, MODELS, **{"xi-api-key": "any"}).json()
    assert listed[0]["model_id"] == "eleven_multilingual_v2"


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
    stored = httpx.post(server.http_url + VOICES, headers=key, timeout=300, **form(name="ana"))
    assert stored.status_code == 201
    for path in (VOICES, SPEECH_VOICES):
        for headers in ({}, {"authorization": "Bearer"}):
            assert "custom:ana" not in get(server, path, **headers).text
        assert "custom:ana" in get(server, path, **key).text
    for path in (MODELS, AUDIO_MODELS, f"{MODELS}/tts-1"):
        assert get(server, path).status_code == 200
    for path in (VOICES, MODELS):
        assert get(server, path, authorization="Bearer wrong").status_code == 401
        assert httpx.post(server.http_url + path, timeout=300).status_code == 401
    assert get(server, f"{VOICES}/custom:ana").status_code == 401


def test_setting_closes_the_lists(start_app: StartApp) -> None:
    server = start_app(KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY, KANI_OPENAI_OPEN_LISTS="false")
    for path in (VOICES, SPEECH_VOICES, MODELS, AUDIO_MODELS):
        assert get(server, path).status_code == 401
        assert get(server, path, authorization=f"Bearer {KEY}").status_code == 200
