"""Refusals of ElevenLabs' calls: each error has the shape of the service's own, and names the field."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest

from kani.core.audio.pcm import MAX_RECORDING_BYTES, wav
from kani.protocols.elevenlabs.formats import FORMATS
from kani.protocols.elevenlabs.http.body import MAX_INPUTS, MAX_VOICES
from kani.protocols.elevenlabs.http.speech import DIALOGUE_PATH as DIALOGUE
from kani.protocols.elevenlabs.models import MODELS
from tests.protocols.bad_input import Given, asked, names, shown
from tests.protocols.voices_api.test_voices_api import recording
from tests.support.servers.app_server import AppServer, StartApp
from tests.support.tables import raw_rows

PATH, ADD, TRANSCRIPTIONS = "/v1/text-to-speech/espeak:es", "/v1/voices/add", "/v1/speech-to-text"
CALLS = ["", "/stream", "/with-timestamps", "/stream/with-timestamps"]
RATE = 16_000
WAV = wav(np.full(RATE, 0.5, np.float32), RATE)
TOLD = {"missing": "Field required", "json_invalid": "JSON decode error"}
"""Words about an error of a form, where it is not of a type."""

Row = tuple[str, Given, int, str | None, str, str]
"""A call, what is sent, and the status, the parameter, the code and words of the error."""


def silence(seconds: float) -> bytes:
    return wav(np.zeros(round(seconds * RATE), np.float32), RATE)


def voice_form(*files: bytes, **fields: str) -> Given:
    """A form that adds a voice; an empty field is left out."""
    given = {"name": "ana", "consent": "It is me."} | fields
    data = {name: value for name, value in given.items() if value}
    return {"data": data, "files": [("files", ("a.wav", file)) for file in files or (recording(),)]}


def audio_form(file: bytes = WAV, **fields: str) -> Given:
    return {"data": {"model_id": "whisper-1"} | fields, "files": {"file": ("a.wav", file)}}


def table() -> Iterator[Row]:
    for call, kind, written, status, param, code, words in raw_rows(__file__, "bad_requests.tsv"):
        fields: Given = json.loads(written)
        given = {"params" if kind == "query" else "json": fields}
        if call == "speech":
            text = {"json": {"text": "Hola."} | fields} if status == "400" else {"json": fields}
            given = given | {"json": {"text": "Hola."}} if kind == "query" else text
        elif call == DIALOGUE and status == "400":
            given = {"json": {"inputs": [ONE]} | fields}
        elif kind == "form":
            given = voice_form(**fields) if call == ADD else audio_form(**fields)
        told = (int(status), param, code, words if words != "-" else "")
        calls = [PATH + way for way in CALLS] if call == "speech" else [call]
        yield from ((each, given, *told) for each in calls)


ONE = {"text": "a", "voice_id": "espeak:es"}
NO_FORMS = (b"", b"{", b"5", b'"text"', b"[]", b"\xff\xfe", b'{"text": NaN}', b'{"text": "a"', b"text=Hola")
INVALID, TOO_LONG, OBJECT = "invalid_request", "max_character_limit_exceeded", "model_attributes_type"
DEEP = b'{"input_audio":{"data":"AAAA"},"x":' + b"[" * 1000 + b"]" * 1000 + b"}"
ROWS: list[Row] = [
    *table(),
    *(
        (f"/v1/text-to-speech/{voice}{way}", {"json": ONE}, 404, "voice_id", "voice_not_found", told)
        for way in CALLS
        for voice, told in (
            ("nobody", "A voice with voice_id 'nobody' was not found."),
            *((voice, "") for voice in ("custom:nobody", "%00", "x" * 5000, "%ff")),
        )
    ),
    *(
        (PATH + call, {"content": body}, 422, None, OBJECT if body in NO_FORMS[2:5] else "json_invalid", "")
        for call in CALLS
        for body in NO_FORMS
    ),
    *(
        (PATH + call, {"json": {"text": text}}, 400, "text", TOO_LONG, "text: too long")
        for call in CALLS
        for text in ("a" * 40_001, "a b " * 250_000)
    ),
    *(
        (PATH, {"content": b'{"text": "a", ' + more + b"}"}, 400, "body", INVALID, "")
        for more in (b'"b": ' + b"[" * 100_000 + b"]" * 100_000, b'"x": [' + b"0," * 200_000 + b"0]")
    ),
    *(
        (DIALOGUE, {"json": {"inputs": inputs}}, 400, "inputs", code, words)
        for inputs, code, words in (
            ([ONE] * (MAX_INPUTS + 1), INVALID, str(MAX_INPUTS)),
            ([{**ONE, "text": "a" * 20_001}] * 2, TOO_LONG, "40000"),
            ([{**ONE, "voice_id": f"v{n}"} for n in range(MAX_VOICES + 1)], INVALID, str(MAX_VOICES)),
        )
    ),
    *(
        (ADD, voice_form(*files), 400, "files", "invalid_files", words)
        for files, words in (
            ([b""], "is empty"),
            ([b"This is no sound."], "is not audio"),
            ([b"RIFF\x00\x00\x00\x00WAVE"], "is broken"),
            ([b"#EXTM3U\nfile:///etc/passwd\n"], "is not audio"),
            ([silence(2.9)], "too short (at least 3 s)"),
            ([silence(1.0), silence(1.5)], "too short"),
            ([silence(60.1)], "too long (at most 60 s)"),
            ([silence(5.0)], "no speech"),
            ([silence(5.0), b"no sound"], "files: number 2 is not audio"),
        )
    ),
    *(
        (ADD, voice_form(*files), 413, param, "request_too_large", words)
        for files, param, words in (
            ([bytes(MAX_RECORDING_BYTES + 1)], "files", "10 MiB"),
            ([bytes(MAX_RECORDING_BYTES // 3 + 1)] * 3, "files", "10 MiB"),
            ([bytes(17 << 20)], None, ""),
        )
    ),
    (ADD, voice_form(*[b"x"] * 26), 400, None, INVALID, "25"),
    (ADD, voice_form(labels="[" * 10_000), 400, "labels", "invalid_labels", ""),
    (ADD, voice_form(consent="x" * 2001), 400, "consent", "invalid_consent", ""),
    (ADD, voice_form(description="x" * 2001), 400, "description", INVALID, ""),
    (ADD, voice_form(name=""), 422, "name", "missing", ""),
    (ADD, {"data": {"name": "ana", "consent": "It is me."}}, 422, "files", "missing", ""),
    *((ADD, given, 422, "name, files", "missing", "") for given in ({}, {"json": {"name": "ana"}})),
    ("/v1/voices/custom:ana/edit", {"data": {"description": "x"}}, 422, "name", "missing", ""),
    *(
        ("GET /v2/voices", {"params": {name: value}}, 400, name, INVALID, "")
        for name, value in (("page_size", "9" * 5000), ("search", "x" * 201))
    ),
    (TRANSCRIPTIONS, audio_form(b"abc", file_format="pcm_s16le_16"), 400, "file", "invalid_file", ""),
    (TRANSCRIPTIONS, audio_form(np.random.default_rng(1).bytes(100_000)), 400, "file", "invalid_file", ""),
    (TRANSCRIPTIONS, {"files": {"other": b"x"}}, 422, "model_id, file", "missing", ""),
    (
        TRANSCRIPTIONS,
        {"content": DEEP, "headers": {"content-type": "application/json"}},
        *(400, "body", INVALID, "nested too deeply"),
    ),
]


def detail_of(answer: httpx2.Response, status: int, code: str, error_type: str) -> dict[str, Any]:
    """Return the single error of an answer; all its fields are as they should be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"detail"}
    detail: dict[str, Any] = answer.json()["detail"]
    assert detail.keys() - {"param"} == {"type", "code", "message", "status", "request_id"}
    assert (detail["code"], detail["status"], detail["type"]) == (code, code, error_type)
    assert detail["request_id"] == answer.headers["x-request-id"]
    return detail


@pytest.fixture(scope="module", autouse=True)
def nothing_is_kept(espeak_app: AppServer) -> Iterator[None]:
    yield
    assert not httpx2.get(f"{espeak_app.http_url}/v2/voices", params={"category": "cloned"}).json()["voices"]


@pytest.mark.parametrize(("call", "given", "status", "param", "code", "words"), ROWS, ids=shown)
def test_fault_is_named(
    client: httpx2.Client, call: str, given: Given, status: int, param: str | None, code: str, words: str
) -> None:
    answer = asked(client, call, given)
    if status == 422:
        assert answer.status_code == 422, answer.text
        errors = answer.json()["detail"]
        assert {error["type"] for error in errors} == {code}
        assert ", ".join(".".join(map(str, error["loc"][1:])) for error in errors) == (param or "")
        for error in errors:
            assert error["msg"].startswith(TOLD.get(code, "Input should be a valid "))
            assert error["loc"][0] == "body" and (code != "missing" or error["input"] is None)
        return
    detail = detail_of(answer, status, code, "not_found" if status == 404 else "validation_error")
    assert detail.get("param") == param and names(detail["message"], words) and len(detail["message"]) < 1000


def test_type_errors_are_all_reported_and_odd_paths_are_404(client: httpx2.Client) -> None:
    answer = client.post(PATH, json={"text": 5, "seed": "x" * 100_000, "next_text": []})
    assert {error["loc"][1] for error in answer.json()["detail"]} == {"text", "seed", "next_text"}
    assert len(answer.content) < 2000
    answer = client.post(ADD, data={"name": "ana", "consent": "It is me.", "files": "a.wav"})
    assert answer.status_code == 422
    [error] = answer.json()["detail"]
    assert error["loc"] == ["body", "files", 0] and "Expected UploadFile" in error["msg"]
    for call in CALLS:
        path = f"/v1/text-to-speech/..%2f..%2fetc%2fpasswd{call}"
        assert client.post(path, json={"text": "Hola."}).status_code == 404
    assert client.get(PATH).status_code == 405


@pytest.mark.parametrize("call", CALLS)
def test_unknown_format_is_rejected_with_list(client: httpx2.Client, call: str) -> None:
    answer = client.post(PATH + call, json={"text": "Hola."}, params={"output_format": "x" * 5000})
    detail = detail_of(answer, 400, "invalid_output_format", "validation_error")
    listed = detail["message"].partition("must be one of ")[2].split(", ")
    assert listed == [name for name, form in FORMATS.items() if form.codec != "wav" or "stream" not in call]


def test_text_limit_is_a_setting(start_app: StartApp) -> None:
    server = start_app(KANI_MAX_TEXT="30")
    with httpx2.Client(base_url=server.http_url, timeout=300) as client:
        assert client.post(PATH, json={"text": "Hola, ¿qué tal estás hoy?"}).status_code == 200
        refused = client.post(PATH, json={"text": "a" * 31})
        detail = detail_of(refused, 400, "max_character_limit_exceeded", "validation_error")
        assert detail["message"] == "text: too long (at most 30 characters)."
        models = client.get("/v1/models", headers={"xi-api-key": "any"}).json()
    assert {model["maximum_text_length_per_request"] for model in models} == {30}


@pytest.mark.parametrize("name", [*MODELS, None])
def test_every_model_is_accepted(client: httpx2.Client, name: str | None) -> None:
    body = {"text": "Hola."} if name is None else {"text": "Hola.", "model_id": name}
    assert client.post(PATH, json=body, params={"output_format": "pcm_8000"}).status_code == 200
