"""Embeddings that a session gets once it is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from kani.core.types import SpeechRequest
from tests.core.voices.test_cloning import hum, recording_of, two
from tests.support.sessions import collect
from tests.support.tone import ToneEngine


@pytest.mark.parametrize("language", ["es", None])
@pytest.mark.parametrize("voice", ["tone_es", "custom:ana", None])
async def test_embeddings_replace_requested_voice(
    tmp_path: Path, voice: str | None, language: str | None
) -> None:
    plain, echo = ToneEngine(), ToneEngine(clones=True)
    async with two(plain, echo, tmp_path, language=None) as service:
        await service.cloning.add("ana", recording_of(hum()), consent="It is me.", origin="test")
        first, last = [
            await service.cloning.embed_with_all_engines(hum(level=level)) for level in (0.25, 0.5)
        ]
        request = SpeechRequest(voice=voice, language=language)
        async with service.open(request, protocol="test") as session:
            session.use_embeddings(first)
            session.use_embeddings(last)
            session.feed("uno")
            session.finish()
            await collect(session)
            assert (session.resolved_voice.engine.info.name, session.cloning_kind) == (
                "echo",
                "nearest voice",
            )
            assert session.resolved_voice.language == (
                "en" if language is None and voice != "tone_es" else "es"
            )
    assert not plain.segments
    assert [segment.embedding for segment in echo.segments] == [last[0]]
