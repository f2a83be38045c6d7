"""Who is here: ``/api/build_info``, by which clients tell that a server lives, and ``/api/modules_info``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from speech.service import SpeechService

BUILD_FIELDS = (
    "build_timestamp build_date git_branch git_timestamp git_date git_hash git_describe rustc_host_triple "
    "rustc_version cargo_target_triple".split()
)
"""What moshi-server tells of its build, all of it text."""


@dataclass(slots=True)
class Channels:
    """Clients that are connected to hear speech, and to be heard."""

    speaking: int = 0
    listening: int = 0

    @contextmanager
    def open_speech(self) -> Iterator[None]:
        """One more hears speech, for as long as the body runs."""
        self.speaking += 1
        try:
            yield
        finally:
            self.speaking -= 1

    @contextmanager
    def open_recognition(self) -> Iterator[None]:
        """One more is heard, for as long as the body runs."""
        self.listening += 1
        try:
            yield
        finally:
            self.listening -= 1


def info_routes(service: SpeechService, version: str, channels: Channels) -> list[BaseRoute]:
    """The routes; version: of this server, which stands where theirs has a commit."""

    async def build(request: Request) -> Response:
        facts = dict.fromkeys(BUILD_FIELDS, "")
        return JSONResponse(facts | {"git_describe": f"kani-tts {version}"})

    async def modules(request: Request) -> Response:
        total = str(service.limits.max_sessions)
        spoken = {
            "type": "py",
            "path": "/api/tts_streaming",
            "script": "tts.py",
            "used_slots": str(channels.speaking),
            "total_slots": total,
        }
        heard = {
            "type": "batched_asr",
            "path": "/api/asr-streaming",
            "lm": service.recognizer.info.name if service.recognizer else "",
            "audio_tokenizer": "",
            "used_slots": str(channels.listening),
            "total_slots": total,
        }
        return JSONResponse([spoken, heard] if service.recognizer else [spoken])

    return [
        Route("/api/build_info", build, methods=["GET"]),
        Route("/api/modules_info", modules, methods=["GET"]),
    ]
