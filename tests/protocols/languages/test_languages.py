"""Text of the languages beyond the first five reaches the engine alike through every protocol.

``test_heard_languages.py`` lets a recogniser hear the same sentences.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kani.text.normalizer import NormalizerOptions, normalize
from tests.clients.openai_realtime import realtime as realtime_client
from tests.clients.openai_realtime import text_item
from tests.protocols.languages import test_client_languages
from tests.protocols.languages.test_heard_languages import SENTENCES
from tests.protocols.wyoming.home_assistant import get_tts_audio
from tests.support.serving import InProcessServer, serving
from tests.support.tone import ToneEngine

LANGUAGES = ("es", "en", *SENTENCES)

Say = Callable[[InProcessServer, str], Awaitable[None]]


def without_headers(say: test_client_languages.Say) -> Say:
    async def said(server: InProcessServer, text: str) -> None:
        await say(server, text, {})  # type: ignore[arg-type]

    return said


async def openai(server: InProcessServer, text: str) -> None:
    body = {"model": "tts-1", "voice": "nova", "input": text, "response_format": "pcm"}
    await test_client_languages.post(f"{server.http_url}/v1/audio/speech", body, {})


async def realtime(server: InProcessServer, text: str) -> None:
    async with realtime_client(server.url, "model=gpt-realtime") as client:
        await client.send("response.create", response={"input": [text_item(text)]})
        await client.until("response.done")


async def wyoming(server: InProcessServer, text: str) -> None:
    assert await get_tts_audio(server.streams["Wyoming"], text)


PROTOCOLS = {say.__name__: without_headers(say) for say in test_client_languages.PROTOCOLS} | {
    say.__name__: say for say in (openai, realtime, wyoming)
}


@pytest.mark.parametrize("language", SENTENCES)
async def test_engine_gets_text_in_its_language_from_every_protocol(tmp_path: Path, language: str) -> None:
    engine = ToneEngine(languages=LANGUAGES)
    # With a space between two sentences: a protocol of words joins them so.
    text = " ".join(SENTENCES[language])
    got = {}
    async with serving(tmp_path, engine=engine, KANI_WYOMING="true") as server:
        for name, say in PROTOCOLS.items():
            engine.segments.clear()
            await say(server, text)
            spoken = "".join("".join(segment.text for segment in engine.segments).split())
            got[name] = {(spoken, segment.language, segment.voice) for segment in engine.segments}
    assert got == dict.fromkeys(PROTOCOLS, got["kani"])
    ((spoken, *rest),) = got["kani"]
    expected = normalize(text, options=NormalizerOptions(language=language)).text
    assert rest == [language, f"tone_{language}"] and spoken == "".join(expected.split())
