"""Recordings above the limit: every call names it, and the setting, before all has been sent."""

import http.client
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest

from kani.core.session.budget import MIB, Budgets
from tests.conftest import ServerProcess, server_process
from tests.protocols.openai.test_bad_input import AUDIO, WAV
from tests.support.loudness import LoudnessRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer, app_server

VOICES = ("/v1/audio/speech/timestamps", "/v1/audio/diarization")
OPENAI = ("/v1/audio/transcriptions", "/v1/audio/translations")
CALLS = [
    *((path, "file") for path in (*OPENAI, *VOICES, "/v1/speech-to-text", "/inference")),
    *((path, "audio_file") for path in ("/asr", "/detect-language")),
]
KIND = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same as a program of its own, which answers while a client still sends."""
    folder = tmp_path_factory.mktemp("process")
    with server_process(folder, "--engine", "espeak", KANI_MAX_UPLOAD="1") as running:
        yield running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server that takes recordings of up to 1 MB."""
    with app_server(tmp_path_factory.mktemp("small"), KANI_MAX_UPLOAD="1") as running:
        running.service.recognition.recognizer = LoudnessRecognizer()
        yield running


def assert_names_the_limit(status: int, text: str, field: str) -> None:
    assert status == 413
    assert f"{field}: too large (at most 1 MB, the server's KANI_MAX_UPLOAD)" in text


@pytest.mark.parametrize(("path", "field"), CALLS)
def test_the_length_is_enough(small: AppServer, path: str, field: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=WITHIN_S)
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", KIND)
    connection.putheader("Content-Length", str(600 * MIB))
    connection.endheaders()
    answer = connection.getresponse()
    assert_names_the_limit(answer.status, answer.read().decode(), field)
    connection.close()


@pytest.mark.parametrize(("path", "field"), CALLS)
def test_pieces_without_a_length_are_refused_while_they_come(
    process: ServerProcess, path: str, field: str
) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        name = f'Content-Disposition: form-data; name="{field}"; filename="../../a.wav"'
        yield f"--x\r\n{name}\r\n\r\n".encode()
        while sent < 256:
            yield bytes(MIB // 4)
            sent += 1

    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=WITHIN_S)
    with suppress(ConnectionError):
        connection.request("POST", path, pieces(), {"Content-Type": KIND}, encode_chunked=True)
    answer = connection.getresponse()
    assert_names_the_limit(answer.status, answer.read().decode(), field)
    assert sent < 256
    connection.close()


@pytest.mark.parametrize("path", OPENAI)
def test_a_file_above_and_one_below(small: AppServer, path: str) -> None:
    with httpx2.Client(base_url=small.http_url) as client:
        for size, status in ((MIB + 1, 413), (MIB, 200)):
            files = {"file": ("a.wav", WAV + bytes(size - len(WAV)))}
            answer = client.post(path, files=files, data={"model": "m"})
            assert answer.status_code == status, answer.text
        assert client.post(path, json={"model": "m", "input_audio": AUDIO}).status_code == 200


def test_json_has_a_limit_of_its_own(client: httpx2.Client) -> None:
    """A form of that size is taken: see tests/clients/whisper_servers/test_long_recordings.py."""
    huge = b'{"model": "m", "input_audio": {"data": "' + b"A" * (53 * MIB) + b'"}}'
    answer = client.post(OPENAI[0], content=huge, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert "at most 25 MB in JSON; in a form at most 512 MB, the server's KANI_MAX_UPLOAD" in answer.text


def test_long_recordings_keep_out_no_short_one() -> None:
    disk = Budgets().recordings
    with disk.share() as one, disk.share() as other, disk.share() as short:
        for long in (one, other):
            long.grow(512 * MIB)
        assert not disk.open().fits(26 * MIB)
        short.grow(25 * MIB)
