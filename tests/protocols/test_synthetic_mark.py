"""Answers with speech say that it is synthetic, in each protocol, unless the server is told not to."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from kani.core.audio import synthetic_mark
from tests.protocols.test_ssml import HTTP, VOICE
from tests.support.servers.app_server import StartApp

MARK = synthetic_mark.SOURCE_TYPE.encode()
SPEAKING = [
    *HTTP,
    ("/api/tts_streaming?token=public_token", "text", {"voice": VOICE}),
    ("/v1/text-to-dialogue", "inputs", {}),
]


@pytest.fixture
def marking_again() -> Iterator[None]:
    yield
    synthetic_mark.set_marking(on=True)


def say(client: httpx2.Client, path: str, field: str, rest: dict[str, Any]) -> httpx2.Response:
    said: Any = [{"text": "uno", "voice_id": VOICE}] if field == "inputs" else "uno"
    answer = client.post(path, json={field: said, **rest})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(("path", "field", "rest"), SPEAKING)
def test_answers_have_the_header(client: httpx2.Client, path: str, field: str, rest: dict[str, Any]) -> None:
    assert say(client, path, field, rest).headers["x-ai-generated"] == "true"


def test_previews_are_marked_and_files_carry_it(client: httpx2.Client) -> None:
    preview = client.get(f"/v1/audio/voices/{VOICE}/preview")
    assert preview.status_code == 200 and preview.headers["x-ai-generated"] == "true"
    for name in ("wav", "mp3", "flac", "opus"):
        rest = {"voice": VOICE, "response_format": name}
        assert MARK in say(client, "/v1/audio/speech", "input", rest).content[:500]


@pytest.mark.usefixtures("marking_again")
def test_a_setting_leaves_it_out(start_app: StartApp) -> None:
    with httpx2.Client(base_url=start_app(KANI_UNMARKED="true").http_url) as client:
        answer = say(client, "/v1/audio/speech", "input", {"voice": VOICE, "response_format": "wav"})
    assert "x-ai-generated" not in answer.headers and MARK not in answer.content
