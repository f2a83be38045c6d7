"""Requests that OpenAI's calls refuse, each with the error object that names the field and the fault."""

import base64
import json
import tempfile
from collections.abc import Iterator
from typing import Any, NoReturn

import httpx2
import numpy as np
import pytest
from starlette.requests import Request
from starlette.types import Message

from kani.core.audio.pcm import wav
from kani.core.session.budget import Budgets
from kani.protocols.openai.speech import audio_file
from kani.protocols.shared.recordings.upload import AudioUploads
from tests.core.audio.test_pcm import pictures
from tests.protocols.bad_input import Given, asked, names, shown
from tests.protocols.voices_api.test_voices_api import recording
from tests.support.loudness import LoudnessRecognizer
from tests.support.servers.app_server import AppServer, StartApp
from tests.support.tables import raw_rows

SPEECH, CAPTIONS, CAPTIONED = SPEAKING = ("/v1/audio/speech", "/v1/audio/captions", "/dev/captioned_speech")
CONSENTS = "/v1/audio/voice_consents"
PATH, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
RATE = 16_000
WAV = wav(np.full(RATE, 0.5, np.float32), RATE)
AUDIO = {"data": base64.b64encode(WAV).decode(), "format": "wav"}
STATUS = {"method_not_allowed": 405, "not_found": 404, "model_not_found": 404, "file_too_large": 413}
"""Statuses of codes, where they are not 400."""

Row = tuple[str, Given, str | None, str | None, str]
"""A call, what is sent, and the parameter, the code and words of the error."""


def body(**fields: Any) -> Given:
    return {"json": {"input": "Hello.", "model": "tts-1", "voice": "alloy"} | fields}


def form(file: bytes = WAV, **fields: Any) -> Given:
    return {"files": {"file": ("a.wav", file)}, "data": {"model": "whisper-1"} | fields}


def consent(file: bytes, **fields: Any) -> Given:
    return {"files": {"recording": ("a.wav", file)}, "data": {"name": "a", "language": "es"} | fields}


def audio_json(content: bytes | Given) -> Given:
    content = content if isinstance(content, bytes) else json.dumps({"model": "m"} | content).encode()
    return {"content": content, "headers": {"content-type": "application/json"}}


def table() -> Iterator[Row]:
    for call, kind, written, param, code, words in raw_rows(__file__, "bad_requests.tsv"):
        fields, calls = json.loads(written), SPEAKING if call == "speaking" else (call,)
        given = {"params" if kind == "query" else "json": fields}
        if kind == "form":
            given = consent(recording(2.0), **fields) if call == CONSENTS else form(**fields)
        elif calls[0] in SPEAKING:
            given = body(**fields)
        elif call == PATH:
            given = audio_json(fields)
        told = (param if param != "-" else None, code, words if words != "-" else "")
        yield from ((each, given, *told) for each in calls)


DAMAGED = {
    "text": b"hello, this is no audio\n" * 50,
    "noise": np.random.default_rng(1).bytes(100_000),
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    "m4a without its end": b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + bytes(4000),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(1000),
}
NO_OBJECTS = (b"", b"{", b"[]", b'"a"', b"\xff", b"[" * 5000, b'{"speed": NaN, "input": "a"}', b"null")
TOO_LONG, INVALID = "string_above_max_length", "invalid_value"
LONG = "a" * 100_001
DEEP = b'{"input_audio":{"data":"AAAA"},"x":' + b"[" * 1000 + b"]" * 1000 + b"}"
CUT = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
ROWS: list[Row] = [
    *table(),
    *(
        (path, body(**fields), param, code, words)
        for path in SPEAKING
        for fields, param, code, words in (
            ({"input": LONG}, "input", TOO_LONG, "100000"),
            ({"voice": "x" * 201}, "voice", TOO_LONG, "200"),
            ({"allow_voice_tags": True, "input": "a [pause:1s]" * 1001}, "input", INVALID, "1000"),
            ({"voice_aliases": dict.fromkeys(map(str, range(101)), "x")}, "voice_aliases", INVALID, "100"),
            ({"speed": 10**400}, "speed", INVALID, "between 0.25 and 4"),
        )
    ),
    *((path, {"content": content}, None, "invalid_json", "") for path in SPEAKING for content in NO_OBJECTS),
    (audio_file.PATH, {"content": b"123"}, None, INVALID, ""),
    *(
        (audio_file.PATH, {"content": b"12", "params": params}, next(iter(params)), INVALID, "")
        for params in (
            {"response_format": "mp4"},
            *({"sample_rate": rate} for rate in ("1", "-24000", "9" * 5000)),
            {"sample_rate": "12345", "response_format": "mp3"},
        )
    ),
    *((CONSENTS, consent(file), "recording", INVALID, "") for file in (b"no audio", b"", recording(0.5))),
    (CONSENTS, consent(recording(2.0), name="x" * 201), "name", INVALID, ""),
    *(
        (PATH, form(file, stream=stream), "file", INVALID, f"file: {reason}")
        for stream in ("false", "true")
        for file, reason in (
            (b"", "is empty"),
            *((file, "is damaged, or not audio") for file in DAMAGED.values()),
            *((file, "holds no audio") for file in (WAV[:44], pictures())),
            (wav(np.zeros(100, np.float32), 1_000), "sample rate must be between"),
        )
    ),
    *((path, audio_json(DEEP), "body", INVALID, "nested too deeply") for path in (PATH, TRANSLATIONS)),
    *(
        (PATH, form(**fields), param, INVALID, "")
        for fields, param in (
            ({"keywords[]": ["a"] * 1_001}, "keywords"),
            ({"prompt": "a" * 20_000}, "prompt"),
            ({f"field{number}": "" for number in range(1_101)}, "body"),
        )
    ),
    *((PATH, audio_json(content), "body", INVALID, "") for content in (b"{", b"\xff", b"[" * 10**5)),
    (PATH, audio_json(b"[]"), "body", "invalid_type", "body: must be an object"),
    (PATH, audio_json(json.dumps({"input_audio": AUDIO}).encode()), "model", "missing_model", ""),
    (PATH, audio_json({"input_audio": AUDIO, "stream": {}}), "stream", INVALID, ""),
    (PATH, audio_json({"x": [0] * 20_000, "input_audio": AUDIO}), "body", INVALID, ""),
    (PATH, form() | {"files": {"other": b"x"}}, "file", "missing_file", ""),
    (PATH, {"files": dict.fromkeys(("file", "model"), (None, b"x"))}, "file", INVALID, ""),
    (PATH, form() | {"files": dict.fromkeys(("file", "other"), WAV)}, "body", INVALID, "Too many files"),
    *(
        (PATH, {"content": content, "headers": {"content-type": kind}}, "body", INVALID, "")
        for content, kind in (
            (b"model=whisper-1", "text/plain"),
            (b"model=whisper-1", "application/x-www-form-urlencoded"),
            (b"model=whisper-1", "multipart/form-data"),
            (CUT, "multipart/form-data; boundary=x"),
        )
    ),
]


def error_of(answer: httpx2.Response) -> tuple[str | None, str | None, int]:
    """The parameter and the code of an error, and its status; all else of it is as it should be."""
    assert answer.headers["x-request-id"] and answer.json().keys() == {"error"}, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() - {"reason"} == {"message", "type", "param", "code"}
    assert error["type"] == ("server_error" if answer.status_code >= 500 else "invalid_request_error")
    assert 0 < len(error["message"]) < 400
    return error["param"], error["code"], answer.status_code


@pytest.fixture(scope="module", autouse=True)
def nothing_is_kept(espeak_app: AppServer) -> Iterator[None]:
    yield
    assert not httpx2.get(f"{espeak_app.http_url}{CONSENTS}").json()["data"]


@pytest.mark.parametrize(("call", "given", "param", "code", "words"), ROWS, ids=shown)
def test_fault_is_named(
    client: httpx2.Client, call: str, given: Given, param: str | None, code: str | None, words: str
) -> None:
    answer = asked(client, call, given)
    assert error_of(answer) == (param, code, STATUS.get(code or "", 400))
    assert names(answer.json()["error"]["message"], words), answer.text
    # Of calls that are served a retry would be refused as well.
    retry = None if "not served here" in answer.text else "false"
    assert answer.headers.get("x-should-retry") == retry


def test_half_a_surrogate_pair_comes_back_as_it_came(client: httpx2.Client) -> None:
    answer = client.post(SPEECH, content=b'{"input": "a", "voice": "\\ud83d"}')
    assert error_of(answer) == ("voice", "voice_not_found", 400) and "\\ud83d" in answer.text
    for path in (SPEECH, CAPTIONS):
        assert client.post(path, content=b'{"input": "a \\ud83d b"}').status_code == 200


def test_other_paths_keep_their_shape_and_an_empty_bearer_is_no_key(client: httpx2.Client) -> None:
    assert "detail" in client.post("/v1/text-to-dialogue", json={}).json()
    for key in ("Bearer", "Bearer null"):
        answer = client.post(SPEECH, json={"input": "Hello."}, headers={"authorization": key})
        assert answer.status_code == 200


def test_limits_of_recordings_and_a_missing_recogniser(
    start_app: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.protocols.shared.recordings.transcript.MAX_RECORDING_S", 0.5)
    server = start_app()
    with httpx2.Client(base_url=server.http_url) as client:
        for path in (PATH, "/v1/speech-to-text"):
            answer = client.post(path, **form(b"a", model_id="m"))
            assert answer.status_code == 503 and "KANI_RECOGNIZER=auto" in answer.text
            assert path != PATH or answer.headers["x-should-retry"] == "false"
        server.service.recognition.recognizer = LoudnessRecognizer()
        answer = client.post(PATH, **form(wav(np.zeros(9_000, np.float32), RATE)))
    assert error_of(answer) == ("file", "invalid_value", 400) and "too long (at most 0.5 s)" in answer.text


def test_full_disk_is_named(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    for given in (form(), audio_json({"input_audio": AUDIO})):
        answer = client.post(PATH, **given)
        assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
        assert "temporary folder is full" in answer.json()["error"]["message"]
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("written", [False, True], ids=["form", "JSON"])
@pytest.mark.parametrize(("size", "on_disk"), [(1_000, False), (100_000, True)])
async def test_only_small_recordings_stay_in_memory(written: bool, size: int, on_disk: bool) -> None:
    audio = {"data": base64.b64encode(bytes(size)).decode()}
    given: Any = {"json": {"input_audio": audio}} if written else {"files": {"file": ("a", bytes(size))}}
    request = httpx2.Request("POST", "http://x", **given)

    async def receive() -> Message:
        return {"type": "http.request", "body": request.read()}

    headers = [(name.lower(), value) for name, value in request.headers.raw]
    scope = {"type": "http", "method": "POST", "headers": headers}
    async with AudioUploads(10**6, form_bytes=10**6).receive(
        Request(scope, receive), Budgets().recordings
    ) as upload:
        assert upload.file is not None and (upload.file.name is not None) == on_disk
