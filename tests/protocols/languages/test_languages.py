"""The language that a text is spoken in, by every protocol: its own, its client's, or its connection's.

``tests/core/session/test_language.py`` has the order that languages count in, and
``benchmarks.text.short_replies`` 400 replies in eight languages.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kani.protocols.shared.client_languages import (
    MAX_HEADER_LENGTH,
    MAX_LANGUAGES,
    MAX_TAG_LENGTH,
    accept_languages,
)
from kani_text.normalizer import NormalizerOptions, normalize
from tests.clients.kyutai.wire import KEY
from tests.clients.voxcpm.wire import opened
from tests.protocols.languages import speakers
from tests.protocols.languages.speakers import (
    ALL,
    ONE_CONNECTION,
    SENTENCES,
    WITH_HEADERS,
    WITH_LANGUAGE,
    Place,
    Speak,
)
from tests.support.servers.serving import InProcessServer, serving
from tests.support.tone import ToneEngine

ENGLISH = ("Sure.", "OK.", "No problem.", "Alarm set.", "John Smith.", "42")
SPANISH = ("Vale.", "OK.", "Claro.", "Perfecto.", "Juan Pérez.", "42")
FRENCH = "Il fait très beau aujourd'hui."
UNCLEAR = "OK 3."
IN_FRANCE = {"accept-language": "tlh-x;q=0.1, fr-CA,fr;q=0.9,*;q=0.5"}


@asynccontextmanager
async def tones(
    folder: Path, languages: tuple[str, ...] = ("es", "en", "fr", "de", "it"), **environment: str
) -> AsyncIterator[tuple[InProcessServer, Place]]:
    engine = ToneEngine(languages=languages)
    async with serving(folder, engine=engine, KANI_WYOMING="true", **environment) as server:
        yield server, Place(server.url, server.http_url, server.streams["Wyoming"])


def spoken(server: InProcessServer) -> list[str]:
    """Languages of what was spoken since the last call."""
    found = [segment.language for segment in server.engine.segments]
    server.engine.segments.clear()
    return found


def default(speak: Speak) -> str:
    return "es" if speak in (speakers.kani, speakers.kani_rest) else "en"


@pytest.mark.parametrize("language", SENTENCES)
async def test_text_is_spoken_the_same_by_every_protocol(tmp_path: Path, language: str) -> None:
    """In its language; the audio is the same but for its rate, and for silence after it."""
    # With a space between two sentences: a protocol of words joins them so.
    text = " ".join(SENTENCES[language])
    got, audio = {}, {}
    async with tones(tmp_path, ("es", "en", *SENTENCES)) as (server, place):
        for speak in ALL:
            server.engine.segments.clear()
            samples, rate = await speak(place, [text])
            audio[speak] = soxr.resample(samples, rate, 8_000)
            whole = "".join("".join(segment.text for segment in server.engine.segments).split())
            got[speak] = {(whole, segment.language, segment.voice) for segment in server.engine.segments}
    assert got == dict.fromkeys(ALL, got[speakers.kani])
    ((whole, *rest),) = got[speakers.kani]
    expected = normalize(text, options=NormalizerOptions(language=language)).text
    assert rest == [language, f"tone_{language}"] and whole == "".join(expected.split())
    longest = max(map(len, audio.values()))
    padded = {speak: np.pad(samples, (0, longest - len(samples))) for speak, samples in audio.items()}
    for speak, samples in padded.items():
        assert np.sum((samples - padded[speakers.kani]) ** 2) <= 1e-4 * np.sum(samples**2), speak


async def test_short_reply_is_in_the_protocols_language(tmp_path: Path) -> None:
    async with tones(tmp_path) as (server, place):
        for speak in ALL:
            for text in SPANISH if default(speak) == "es" else ENGLISH:
                await speak(place, [text])
                assert spoken(server) == [default(speak)], (speak, text)


@pytest.mark.parametrize("speak", WITH_HEADERS)
async def test_unclear_text_is_spoken_in_the_clients_language(tmp_path: Path, speak: Speak) -> None:
    rows = (
        ("Hello world!", {}, "en"),
        ("Guten Morgen", {}, "de"),
        ("OK 3", {}, default(speak)),
        ("OK 3", IN_FRANCE, "fr"),
        ("¿Dónde está la biblioteca?", IN_FRANCE, "es"),
        ("OK 3", {"accept-language": "*"}, default(speak)),
    )
    async with tones(tmp_path) as (server, place):
        for text, headers, language in rows:
            await speak(place._replace(headers=headers), [text])
            assert spoken(server) == [language], (text, headers)


async def test_languages_of_texts_and_operators_come_first(tmp_path: Path) -> None:
    async with tones(tmp_path, KANI_LANGUAGE="de") as (server, place):
        for speak in ALL:
            for text in (UNCLEAR, FRENCH, UNCLEAR):
                await speak(place, [text])
            # Each is sent on a connection of its own: none is remembered for the next.
            assert spoken(server) == ["de", "fr", "de"], speak
    async with tones(tmp_path) as (server, place):
        texts = (UNCLEAR, "The weather is very nice today.", UNCLEAR)
        await speakers.wyoming(place._replace(wyoming_voice="tone_de"), texts)
        assert {segment.voice for segment in server.engine.segments} == {"tone_de"}
        assert spoken(server) == ["de", "en", "de"]


@pytest.mark.parametrize("speak", ONE_CONNECTION)
async def test_short_reply_is_in_the_language_of_the_text_before(tmp_path: Path, speak: Speak) -> None:
    async with tones(tmp_path) as (server, place):
        texts = (UNCLEAR, FRENCH, UNCLEAR, "D'accord.", "The weather is nice.", UNCLEAR)
        await speak(place, texts)
        assert spoken(server) == [default(speak), "fr", "fr", "fr", "en", "en"]
        await speak(place, [UNCLEAR])
        assert spoken(server) == [default(speak)]


MIXED = {
    "es": 'Me dice "could not connect to the server" otra vez. ',
    "en": "I do not know what to do about it. ",
}
"""By the language of the text: the second sentence is in another one than the first."""


@pytest.mark.parametrize("speak", (*ALL, speakers.elevenlabs_contexts))
async def test_quotations_and_sentences_are_in_their_language(tmp_path: Path, speak: Speak) -> None:
    text = f"{MIXED['es']}{MIXED['en']}No pasa nada."
    async with tones(tmp_path) as (server, place):
        for language in ("", "es") if speak in WITH_LANGUAGE else ("",):
            await speak(place._replace(language=language), [text])
            said = [(segment.language, segment.text) for segment in server.engine.segments]
            english = " ".join(words for tag, words in said if tag == "en")
            assert english == '"could not connect to the server" ' + MIXED["en"].strip(), (language, said)
            assert {*spoken(server)} == {"es", "en"}
        if speak in WITH_LANGUAGE:
            await speak(place._replace(language="es", quotations=False), [text])
            assert {*spoken(server)} == {"es"}


@pytest.mark.parametrize("path", ["/v1/text-to-speech/x/stream-input", "/api/tts_streaming"])
async def test_query_takes_true_or_false(tmp_path: Path, path: str) -> None:
    async with tones(tmp_path) as (server, _):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{server.url}{path}?quotations=maybe", additional_headers=KEY):
                pass
        assert b"quotations: must be true or false" in refused.value.response.body


@pytest.mark.parametrize("speak", WITH_LANGUAGE)
@pytest.mark.parametrize(("language", "outside"), [("es", {"tres", "cuatro"}), ("it", {"tre", "quattro"})])
async def test_given_language_is_that_of_the_words_and_numbers_outside(
    tmp_path: Path, speak: Speak, language: str, outside: set[str]
) -> None:
    async with tones(tmp_path) as (server, place):
        await speak(place._replace(language=language), ['3, "there are 12 men at the door", 4.'])
        words = {tag: set[str]() for tag in (language, "en")}
        for segment in server.engine.segments:
            words[segment.language] |= {*re.findall(r"\w+", segment.text)}
    assert words == {language: outside, "en": {*"there are twelve men at the door".split()}}


async def test_one_language_is_what_an_operator_wants(tmp_path: Path) -> None:
    async with tones(tmp_path, KANI_ONE_LANGUAGE="true") as (server, place):
        for speak in (*ALL, speakers.elevenlabs_contexts):
            await speak(place, ["".join(MIXED.values())])
            assert {*spoken(server)} == {"es"}, speak


async def test_requests_on_one_http_connection_share_no_language_and_voices_of_one_request_do(
    tmp_path: Path,
) -> None:
    """A proxy sends requests of several clients on one connection."""
    openai = {"model": "tts-1", "voice": "alloy"}
    async with tones(tmp_path) as (server, _):
        for path, field, rest, language in (
            ("/v1/audio/speech", "input", openai, "en"),
            (f"/v1/text-to-speech/{speakers.RACHEL}", "text", {}, "en"),
            ("/tts", "text", {}, "es"),
        ):
            for text in (FRENCH, UNCLEAR):
                answer = await server.post(path, json={field: text, **rest})
                assert answer.status_code == 200, answer.text
            assert spoken(server) == ["fr", language], path
        body = openai | {"input": f"[voice:nova] {FRENCH} [voice:onyx] {UNCLEAR}", "voice_tags": True}
        assert (await server.post("/v1/audio/speech", json=body)).status_code == 200
        assert spoken(server) == ["fr", "fr"]


async def test_languages_field_precedes_header(tmp_path: Path) -> None:
    german = {"accept-language": "de"}
    async with tones(tmp_path) as (server, _):
        async with connect(server.url, additional_headers=german) as socket:
            for given, chosen in ((["x" * MAX_TAG_LENGTH, "fr"], "french"), ([], "german"), (None, "german")):
                answer = await speakers.request(socket, "OK 3", languages=given)
                metadata = answer["metadata"]
                assert (metadata["language"], metadata["unused"]) == (chosen, [])
            for wrong, reason in (
                ({"en": 1}, "must be a list of strings"),
                (["fr"] * (MAX_LANGUAGES + 1), f"too many (at most {MAX_LANGUAGES})"),
                (["x" * (MAX_TAG_LENGTH + 1)], "too long (at most 35 characters)"),
            ):
                answer = await speakers.request(socket, "OK 3", languages=wrong)
                assert answer["message"].startswith(f"languages: {reason}")
        async with opened(server.url, additional_headers=german) as client:
            for given, language in ((["it", "fr"], "it"), (None, "de")):
                result = (await client.speak("OK 3", languages=given)).last["result"]
                assert result["language"] == language and "languages" not in result["unused"]
            errors = (await client.speak("OK 3", languages=[1])).last["error"]["details"]["errors"]
            assert errors == {"languages": "must be a list of strings"}


def test_accept_language_is_read_within_limits() -> None:
    headers = {
        "en-US,en;q=0.9,es;q=0.8": ("en-US", "en", "es"),
        "es;q=0.3, de ; q=0.7, fr": ("fr", "de", "es"),
        **dict.fromkeys(("*", ""), ()),
        "*;q=0.5, zh-Hant-TW": ("zh-Hant-TW",),
        "de;q=0, en;q=2, fr;q=x, it;q=-1, pt;level=1": ("pt",),
        "klingonese, xx, ;;;,,=, no": ("nb",),
        "de,de,DE": ("de",),
        "en;q=0.1," * 200 + "de": ("en",),
    }
    assert {header: accept_languages({"accept-language": header}) for header in headers} == headers


@given(st.text(max_size=MAX_HEADER_LENGTH * 2))
def test_any_header_gives_bounded_list(header: str) -> None:
    assert len(accept_languages({"accept-language": header})) <= MAX_LANGUAGES
