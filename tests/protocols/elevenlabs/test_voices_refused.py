"""What clients get of ElevenLabs' calls that make voices where something is wrong; nothing is kept then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from speech.audio.pcm import MAX_RECORDING_BYTES, wav
from tests.conftest import StartServer
from tests.protocols.elevenlabs.test_http_bad_input import detail_of
from tests.support.app_server import AppServer

ADD = "/v1/voices/add"
CONSENT = "It is me."
RATE = 16_000
VALIDATION = "validation_error"


@pytest.fixture(scope="module")
def recording(espeak_app: AppServer) -> bytes:
    path = f"{espeak_app.http_url}/v1/text-to-speech/espeak:en"
    text = "This is my own voice, and there is more than enough of it here for a whole voice to be made."
    answer = httpx.post(path, params={"output_format": "wav_16000"}, json={"text": text}, timeout=300)
    return answer.raise_for_status().content


@pytest.fixture
def client(espeak_app: AppServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=espeak_app.http_url, timeout=300) as client:
        yield client
        kept = client.get("/v2/voices", params={"category": "cloned"}).json()["voices"]
        for voice in kept:
            client.delete(f"/v1/voices/{voice['voice_id']}")
        assert not kept


def silence(seconds: float) -> bytes:
    return wav(np.zeros(round(seconds * RATE), np.float32), RATE)


def post(client: httpx.Client, *files: bytes, headers: Any = None, **fields: str) -> httpx.Response:
    """Ask for a voice; a field that is empty is left out."""
    given = {"name": "ana", "consent": CONSENT} | fields
    return client.post(
        ADD,
        data={name: value for name, value in given.items() if value},
        files=[("files", ("a.wav", file)) for file in files],
        headers=headers,
    )


def test_missing_fields_are_422(client: httpx.Client, recording: bytes) -> None:
    missing = {"type": "missing", "msg": "Field required", "input": None}
    name, files = ({**missing, "loc": ["body", field]} for field in ("name", "files"))
    for answer, told in [
        (post(client, recording, name=""), [name]),
        (client.post(ADD, data={"name": "ana", "consent": CONSENT}), [files]),
        (client.post(ADD), [name, files]),
        (client.post(ADD, json={"name": "ana"}), [name, files]),
        (client.post("/v1/voices/custom:ana/edit", data={"description": "x"}), [name]),
    ]:
        assert answer.status_code == 422
        assert answer.json() == {"detail": told}


def test_text_instead_of_file_is_422(client: httpx.Client) -> None:
    answer = client.post(ADD, data={"name": "ana", "consent": CONSENT, "files": "a.wav"})
    assert answer.status_code == 422
    [told] = answer.json()["detail"]
    assert told["loc"] == ["body", "files", 0] and "Expected UploadFile" in told["msg"]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "is empty"),
        (b"This is no sound.", "is not audio"),
        (b"RIFF\x00\x00\x00\x00WAVE", "is broken"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "is not audio"),
        (silence(2.9), "too short (at least 3 s)"),
        (silence(60.1), "too long (at most 60 s)"),
        (silence(5.0), "no speech"),
    ],
)
def test_unusable_recording_is_rejected(client: httpx.Client, file: bytes, words: str) -> None:
    detail = detail_of(post(client, file), 400, "invalid_files", VALIDATION)
    assert detail["param"] == "files" and words in detail["message"]


def test_bad_recording_is_reported_by_number(client: httpx.Client, recording: bytes) -> None:
    detail = detail_of(post(client, recording, b"no sound"), 400, "invalid_files", VALIDATION)
    assert detail["message"].startswith("files: number 2 is not audio")


def test_joined_recordings_may_be_too_short(client: httpx.Client) -> None:
    detail = detail_of(post(client, silence(1.0), silence(1.5)), 400, "invalid_files", VALIDATION)
    assert "too short" in detail["message"]


@pytest.mark.parametrize("parts", [1, 3])
def test_too_large_recordings_are_413(client: httpx.Client, parts: int) -> None:
    files = [bytes(MAX_RECORDING_BYTES // parts + 1)] * parts
    detail = detail_of(post(client, *files), 413, "request_too_large", VALIDATION)
    assert detail["param"] == "files" and "10 MiB" in detail["message"]


def test_too_large_body_is_413(client: httpx.Client) -> None:
    assert detail_of(post(client, bytes(17 << 20)), 413, "request_too_large", VALIDATION)


def test_too_many_files_are_rejected(client: httpx.Client, recording: bytes) -> None:
    detail = detail_of(post(client, *[b"x"] * 26), 400, "invalid_request", VALIDATION)
    assert "25" in detail["message"]


@pytest.mark.parametrize(
    "name", ["../ana", "a/b", "a\\b", ".", "custom:ana", "a\0b", "x" * 65, " ", "ana.wav", "%2e%2e"]
)
def test_bad_name_is_rejected(client: httpx.Client, recording: bytes, name: str) -> None:
    detail = detail_of(post(client, recording, name=name), 400, "invalid_name", VALIDATION)
    assert detail["param"] == "name" and "1-64 letters" in detail["message"]


def test_taken_name_is_rejected(espeak_app: AppServer, recording: bytes) -> None:
    with httpx.Client(base_url=espeak_app.http_url, timeout=300) as client:
        try:
            assert post(client, recording, name="Ana dos").status_code == 200
            for name in ("Ana dos", "Ana_dos"):
                detail = detail_of(post(client, recording, name=name), 400, "name_taken", VALIDATION)
                assert detail["param"] == "name"
        finally:
            assert client.delete("/v1/voices/Ana_dos").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("labels", "param"),
    [
        ("{", "labels"),
        ("5", "labels"),
        ("0", "labels"),
        ("[]", "labels"),
        ('"{"', "labels"),
        ('["es"]', "labels"),
        ('{"language": 5}', "labels"),
        ('{"language": "xyzzy"}', "labels.language"),
        ("[" * 10_000, "labels"),
    ],
)
def test_bad_labels_are_rejected(client: httpx.Client, recording: bytes, labels: str, param: str) -> None:
    detail = detail_of(post(client, recording, labels=labels), 400, "invalid_labels", VALIDATION)
    assert detail["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"consent": ""}, "consent"),
        ({"consent": "x" * 2001}, "consent"),
        ({"consent": "\x1b[2J"}, "consent"),
        ({"consent": "", "labels": json.dumps({"consent": "half a pair \ud83d"})}, "consent"),
        ({"description": "x" * 2001}, "description"),
    ],
)
def test_bad_consent_or_description_is_rejected(
    client: httpx.Client, recording: bytes, fields: dict[str, str], param: str
) -> None:
    answer = post(client, recording, **fields)
    assert answer.status_code == 400 and answer.json()["detail"]["param"] == param


@pytest.mark.parametrize("header", ["It is me.", "Soy yo, la señora 声.".encode()])
def test_consent_header_is_accepted(espeak_app: AppServer, recording: bytes, header: Any) -> None:
    with httpx.Client(base_url=espeak_app.http_url, timeout=300) as client:
        answer = post(
            client,
            recording,
            headers={"x-consent": header},
            consent="",
            remove_background_noise="true",
            labels='{"gender": "female"}',
        )
        try:
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-unused"] == "remove_background_noise, labels.gender"
        finally:
            client.delete("/v1/voices/ana")


def test_omitted_recordings_are_reported(espeak_app: AppServer, recording: bytes) -> None:
    with httpx.Client(base_url=espeak_app.http_url, timeout=300) as client:
        answer = post(client, *[recording] * 20)
        try:
            assert answer.headers["x-unused"] == "files"
            [sample] = client.get("/v1/voices/ana").json()["samples"]
            assert sample["duration_secs"] == 60.0
        finally:
            client.delete("/v1/voices/ana")


def test_recording_is_served_as_audio_only(espeak_app: AppServer, recording: bytes) -> None:
    with httpx.Client(base_url=espeak_app.http_url, timeout=300) as client:
        assert post(client, recording).status_code == 200
        try:
            [sample] = client.get("/v1/voices/ana").json()["samples"]
            answer = client.get(f"/v1/voices/ana/samples/{sample['sample_id']}/audio")
            assert answer.content == recording
            assert answer.headers["content-type"] == "audio/wav"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
        finally:
            client.delete("/v1/voices/ana")


def test_every_call_needs_key(start_server: StartServer, recording: bytes) -> None:
    server = start_server("--engine", "espeak", KANI_HOST="0.0.0.0", KANI_API_KEYS="secret")
    url = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=url, timeout=300) as client:
        for method, path in [
            ("POST", ADD),
            ("DELETE", "/v1/voices/ana"),
            ("POST", "/v1/voices/ana/edit"),
            ("GET", "/v1/voices/ana/samples/x/audio"),
        ]:
            answer = client.request(method, path)
            assert answer.status_code == 401 and answer.json()["detail"]["status"] == "invalid_api_key"
        assert post(client, recording, headers={"xi-api-key": "secret"}).status_code == 200
    assert "It is me" not in server.log + server.terminal
