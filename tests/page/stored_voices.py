"""The kept voices of a server, as the tests of the page see to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.conftest import ServerProcess

VOICES = "/v1/audio/voices"


def list_stored(server: ServerProcess) -> list[dict[str, Any]]:
    """The voices that clients made."""
    voices: list[dict[str, Any]] = httpx.get(server.http_url + VOICES).json()["voices"]
    return [voice for voice in voices if voice["kept"]]


def store(server: ServerProcess, name: str, recording: Path, **fields: str) -> None:
    """Have a voice kept."""
    given = {"name": name, "consent": "A machine's voice.", **fields}
    files = {"audio": ("speech.wav", recording.read_bytes(), "audio/wav")}
    httpx.post(server.http_url + VOICES, data=given, files=files, timeout=300).raise_for_status()


def delete_all(server: ServerProcess) -> None:
    """Leave none."""
    for voice in list_stored(server):
        httpx.delete(f"{server.http_url}{VOICES}/{voice['id']}").raise_for_status()
