"""Invalid recordings and fields: OpenAI's error object, or ElevenLabs' detail, that names the field."""

import base64
import io
import json
import tempfile
from typing import Any, NoReturn

import av
import httpx
import numpy as np
import pytest
from starlette.requests import Request
from starlette.types import Message

from kani.core.audio.pcm import wav
from kani.protocols.shared.recordings.upload import AudioUploads
from tests.support.loudness import LoudnessRecognizer
from tests.support.servers.app_server import StartApp

RATE = 16_000
PATH, TRANSLATIONS, ELEVENLABS = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/speech-to-text"
WAV = wav(np.full(RATE, 0.5, np.float32), RATE)
NOISE = np.random.default_rng(1).bytes(100_000)
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/hostname'\n"
M4A_WITHOUT_END = b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + bytes(4000)
SILENT_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(1000)


def without_sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", "matroska") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        for frame in (picture, None):
            output.mux(stream.encode(frame))
    return file.getvalue()


def refusal(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error" and error["message"]
    assert answer.headers["x-should-retry"] == "false"
    return answer.status_code, error["param"], error["code"]


def form(file: bytes = WAV, path: str = PATH, **fields: Any) -> dict[str, Any]:
    model = "model_id" if path == ELEVENLABS else "model"
    return {"url": path, "files": {"file": ("a.wav", file)}, "data": {model: "whisper-1"} | fields}


FILES = {
    "empty": (b"", "is empty"),
    "text": (b"hello, this is no audio\n" * 50, "is damaged, or not audio"),
    "noise": (NOISE, "is damaged, or not audio"),
    "playlist": (PLAYLIST, "is damaged, or not audio"),
    "concat": (CONCAT, "is damaged, or not audio"),
    "cut m4a": (M4A_WITHOUT_END, "is damaged, or not audio"),
    "picture": (SILENT_PICTURE, "is damaged, or not audio"),
    "head alone": (WAV[:44], "holds no audio"),
    "film without sound": (without_sound(), "holds no audio"),
    "rate": (wav(np.zeros(100, np.float32), 1_000), "sample rate must be between"),
}


@pytest.mark.parametrize("stream", ["false", "true"])
@pytest.mark.parametrize("name", FILES)
def test_file_without_audio_is_refused(client: httpx.Client, name: str, stream: str) -> None:
    file, reason = FILES[name]
    answer = client.post(**form(file, stream=stream))
    assert refusal(answer) == (400, "file", "invalid_value")
    assert answer.json()["error"]["message"].startswith(f"file: {reason}")


@pytest.mark.parametrize("written", [False, True], ids=["form", "JSON"])
@pytest.mark.parametrize(("size", "on_disk"), [(1_000, False), (100_000, True)])
async def test_only_small_recordings_stay_in_memory(written: bool, size: int, on_disk: bool) -> None:
    audio = {"data": base64.b64encode(bytes(size)).decode()}
    given: Any = {"json": {"input_audio": audio}} if written else {"files": {"file": ("a", bytes(size))}}
    request = httpx.Request("POST", "http://x", **given)

    async def receive() -> Message:
        return {"type": "http.request", "body": request.read()}

    headers = [(name.lower(), value) for name, value in request.headers.raw]
    scope = {"type": "http", "method": "POST", "headers": headers}
    async with AudioUploads(10**6).receive(Request(scope, receive)) as upload:
        assert upload.file is not None and (upload.file.name is not None) == on_disk


@pytest.mark.parametrize("path", [PATH, TRANSLATIONS, ELEVENLABS])
def test_deep_json_is_refused(client: httpx.Client, path: str) -> None:
    deep = b'{"input_audio":{"data":"AAAA"},"x":' + b"[" * 1000 + b"]" * 1000 + b"}"
    answer = client.post(path, content=deep, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and "nested too deeply" in answer.text


FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"model": ""}, "model", "missing_model"),
    ({"response_format": "docx"}, "response_format", "unsupported_format"),
    ({"language": "klingon!"}, "language", "unsupported_language"),
    ({"language": "fr"}, "language", "unsupported_language"),
    ({"languages[]": ["es", "xx"]}, "languages", "unsupported_language"),
    *(({"temperature": value}, "temperature", "invalid_value") for value in ("hot", "1.5", "nan")),
    ({"stream": "perhaps"}, "stream", "invalid_value"),
    ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "invalid_value"),
    (
        {"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
        "timestamp_granularities",
        "invalid_value",
    ),
    ({"include[]": "everything"}, "include", "invalid_value"),
    ({"diarization": "perhaps"}, "diarization", "invalid_value"),
    *(({"start": start}, "start", "invalid_value") for start in ("-1", "nan", "inf", "soon", "1e300", "100")),
    *(({"start": "0", "duration": no}, "duration", "invalid_value") for no in ("0", "-5", "nan", "x")),
    ({"duration": "1"}, "duration", "invalid_value"),
    ({"chunking_strategy": "{"}, "chunking_strategy", "invalid_value"),
    ({"keywords[]": ["a"] * 1_001}, "keywords", "invalid_value"),
    ({"keywords[]": ["a" * 101]}, "keywords", "invalid_value"),
    ({"prompt": "a" * 20_000}, "prompt", "invalid_value"),
    ({f"field{number}": "" for number in range(1_101)}, "body", "invalid_value"),
]
AUDIO = {"data": base64.b64encode(WAV).decode(), "format": "wav"}
JSON: list[tuple[Any, str, str]] = [
    (b"{", "body", "invalid_value"),
    (b"[]", "body", "invalid_value"),
    (b"\xff", "body", "invalid_value"),
    ({}, "body", "invalid_value"),
    ({"input_audio": "x"}, "input_audio", "invalid_value"),
    *(({"input_audio": {"data": data}}, "input_audio.data", "invalid_value") for data in (1, "%%", "")),
    (json.dumps({"input_audio": AUDIO}).encode(), "model", "missing_model"),
    ({"input_audio": AUDIO, "stream": {}}, "stream", "invalid_value"),
    ({"x": [0] * 20_000, "input_audio": AUDIO}, "body", "invalid_value"),
    (b"[" * 100_000, "body", "invalid_value"),
]
CUT = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
PLAIN: list[tuple[dict[str, Any], str, str]] = [
    ({"data": {"model": "whisper-1"}, "files": {"other": b"x"}}, "file", "missing_file"),
    ({"files": {"file": (None, b"no file name"), "model": (None, b"m")}}, "file", "invalid_value"),
    *(
        ({"content": body, "headers": {"content-type": kind}}, "body", "invalid_value")
        for body, kind in (
            (b"model=whisper-1", "text/plain"),
            (b"model=whisper-1", "application/x-www-form-urlencoded"),
            (b"model=whisper-1", "multipart/form-data"),
            (CUT, "multipart/form-data; boundary=x"),
        )
    ),
]


def as_json(body: Any) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps({"model": "m"} | body)
    return {"content": content, "headers": {"content-type": "application/json"}}


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        *((form(**fields), param, code) for fields, param, code in FIELDS),
        *((as_json(body), param, code) for body, param, code in JSON),
        *PLAIN,
    ],
)
def test_wrong_request_is_named(client: httpx.Client, given: dict[str, Any], param: str, code: str) -> None:
    assert refusal(client.post(**{"url": PATH} | given)) == (400, param, code)


def test_odd_forms_and_methods_are_refused(client: httpx.Client) -> None:
    two = {"file": ("a.wav", WAV), "other": ("b.wav", WAV)}
    answer = client.post(PATH, files=two, data={"model": "whisper-1"})
    assert refusal(answer)[0] == 400 and "Too many files" in answer.text
    answer = client.get(PATH)
    assert (answer.status_code, answer.json()["error"]["type"]) == (405, "invalid_request_error")


@pytest.mark.parametrize("path", [PATH, TRANSLATIONS])
@pytest.mark.parametrize("chunked", [False, True])
def test_file_of_30_mb_is_too_large(client: httpx.Client, path: str, *, chunked: bool) -> None:
    request = client.build_request("POST", **form(bytes(30 * 10**6), path))
    whole, size = request.read(), 2**16
    content = (whole[at : at + size] for at in range(0, len(whole), size)) if chunked else whole
    answer = client.post(path, content=content, headers={"content-type": request.headers["content-type"]})
    assert refusal(answer) == (413, "file", "file_too_large")
    assert "at most 25 MB" in answer.json()["error"]["message"]


def test_json_file_over_the_limit_is_too_large(start_app: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.protocols.shared.recordings.upload.MAX_BYTES", 20_000)
    server = start_app()
    answer = httpx.post(f"{server.http_url}{PATH}", json={"model": "m", "input_audio": AUDIO})
    assert refusal(answer) == (413, "file", "file_too_large")


def test_recording_over_the_limit_is_too_long(start_app: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.protocols.openai.transcription.routes.MAX_RECORDING_S", 2.0)
    server = start_app()
    server.service.recognizer = LoudnessRecognizer()
    with httpx.Client(base_url=server.http_url) as client:
        answer = client.post(**form(wav(np.zeros(3 * RATE, np.float32), RATE)))
    assert refusal(answer) == (400, "file", "invalid_value")
    assert "too long (at most 2 s)" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [PATH, ELEVENLABS])
def test_server_without_recogniser_says_what_to_do(start_app: StartApp, path: str) -> None:
    with httpx.Client(base_url=start_app().http_url) as client:
        answer = client.post(**form(path=path))
    assert answer.status_code == 503
    assert "KANI_RECOGNIZER=auto" in answer.text
    if path == PATH:
        assert answer.headers["x-should-retry"] == "false"


def test_full_disk_is_named(client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    for answer in (client.post(**form()), client.post(PATH, json={"model": "m", "input_audio": AUDIO})):
        assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
        assert "temporary folder is full" in answer.json()["error"]["message"]
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language_code": "xyz"}, "language_code"),
        ({"timestamps_granularity": "minute"}, "timestamps_granularity"),
        ({"file_format": "pcm"}, "file_format"),
        ({"temperature": "3"}, "temperature"),
        ({"additional_formats": "{"}, "additional_formats"),
        ({"additional_formats": '[{"format": "docx"}]'}, "additional_formats"),
        ({"webhook": "true"}, "webhook"),
        ({"source_url": "http://169.254.169.254/"}, "source_url"),
        ({"diarize": "perhaps"}, "diarize"),
        *(({"diarize": "true", "num_speakers": no}, "num_speakers") for no in ("0", "33", "2.5", "٣")),
        ({"file_format": "pcm_s16le_16", "file": b"abc"}, "file"),
    ],
)
def test_wrong_field_of_elevenlabs_is_named(client: httpx.Client, fields: dict[str, Any], param: str) -> None:
    answer = client.post(**form(path=ELEVENLABS, **{"file": WAV, **fields}))
    assert (answer.status_code, answer.json()["detail"]["param"]) == (400, param)


def test_elevenlabs_form_without_file_or_model_is_unprocessable(client: httpx.Client) -> None:
    answer = client.post(ELEVENLABS, data={"language_code": "en"}, files={"other": b"x"})
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [["body", "model_id"], ["body", "file"]]
    noise = client.post(**form(NOISE, ELEVENLABS))
    assert (noise.status_code, noise.json()["detail"]["code"]) == (400, "invalid_file")
    large = client.post(**form(bytes(30 * 10**6), ELEVENLABS))
    assert (large.status_code, large.json()["detail"]["param"]) == (413, "file")
