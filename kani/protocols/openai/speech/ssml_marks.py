"""GET and POST /dev/ssml: an SSML document as a text with marks, as Kokoro-FastAPI has it.

The calls of speech read SSML themselves, and more of it than marks can say.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.errors import TextTooLong
from kani.protocols.openai.errors import endpoint, json_response
from kani.protocols.openai.speech.body import read_object
from kani.protocols.shared.calls.bodies import about, read, unknown, unused_header
from kani_text.markup.tags import pause_seconds
from kani_text.ssml import begins_document, parse
from kani_text.ssml.scanner import Token, scan
from kani_text.ssml.values import MAX_RATE, MIN_RATE, rate_factor

PATH = "/dev/ssml"

ELEMENTS = {
    "speak": "the document",
    "break": "[pause:SECONDSs] for its time, or its strength",
    "voice": "[voice:NAME], and the mark of the voice outside at its end; needs the voice of the request",
    "prosody": "[rate:FACTOR], and the mark of the rate outside at its end; needs the voice of the request",
    "phoneme": "[word](/ph/), if its alphabet is ipa",
    "sub": "its alias",
    "desc": "nothing",
}
"""Elements, and what becomes of them."""

IGNORED = ("emphasis", "say-as", "lang", "audio", "mark", "p", "s", "w")
"""Elements that leave only their content, as all others."""

STRENGTHS_S = {"none": 0.0, "x-weak": 0.0, "weak": 0.25, "medium": 0.5, "strong": 1.0, "x-strong": 1.5}
RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.5}
"""Seconds and factors of Kokoro-FastAPI, which are not those that SSML has in the calls of speech."""


class SsmlFields(Struct):
    """A text that is not SSML comes back as it is."""

    text: Annotated[str, about("A document that begins with <speak>.")]
    voice: Annotated[str, about("The voice that will speak it; without one only pauses are marked.")] = ""


def ssml_routes(max_text: int) -> list[BaseRoute]:
    async def translate(request: Request) -> Response:
        given = read_object(await request.body())
        fields = read(given, SsmlFields)
        text = fields.text
        if len(text) > max_text:
            raise TextTooLong(max_text)
        if begins_document(text):
            text = await asyncio.to_thread(with_marks, text, fields.voice.strip())
        return json_response({"text": text}, headers=unused_header(unknown(given, SsmlFields)))

    async def describe(request: Request) -> Response:
        return json_response(
            {
                "elements": ELEMENTS,
                "ignored": IGNORED,
                "break_strengths": STRENGTHS_S,
                "prosody_rates": RATES,
                "rate_range": [MIN_RATE, MAX_RATE],
            }
        )

    return [
        Route(PATH, endpoint(translate, fields={}), methods=["POST"]),
        Route(PATH, endpoint(describe), methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    """State inside an element; end: what is written for its end."""

    voice: str  # empty: voices and rates are not marked
    rate: float = 1.0
    is_spoken: bool = True
    end: str = ""


def with_marks(document: str, voice: str) -> str:
    """Return the text of a document with marks of its pauses, voices, rates and pronunciations.

    voice: the request's, to which the end of a ``<voice>`` returns; without one, voices and rates are not
    marked. Raises InvalidRequest as ``parse`` does.
    """
    parse(document)  # which bounds it
    written: list[str] = []
    outside: list[_Place] = []
    now = _Place(voice)
    for token in scan(document):
        if not token.name:
            written += [token.text or ""] if now.is_spoken else []
            continue
        if not token.closing:
            begin, place = _enter(token, now)
            written += [begin, _change(now, place)] if now.is_spoken else []
            outside.append(now)
            now = place
        if token.closing or token.empty:
            before = outside.pop()
            written += [now.end, _change(now, before)] if before.is_spoken else []
            now = before
    return " ".join("".join(written).split())


def _enter(token: Token, outside: _Place) -> tuple[str, _Place]:
    """Return what is written for the beginning of an element, and the state inside of it."""
    place, given = replace(outside, end=""), token.attributes
    match token.name:
        case "break":
            seconds = pause_seconds(given, STRENGTHS_S)
            return f" [pause:{seconds}s] " if seconds else "", place
        case "sub":
            return given["alias"], replace(place, is_spoken=False)
        case "phoneme" if given.get("alphabet", "ipa") == "ipa":
            return "[", replace(place, end=f"](/{given['ph'].strip()}/)")
        case "desc":
            return "", replace(place, is_spoken=False)
        case "p" | "s":
            return " ", replace(place, end=" ")
        case "voice" if outside.voice and (name := given.get("name", "").strip()):
            return "", replace(place, voice=name)
        case "prosody" if outside.voice and (rate := given.get("rate", "").strip().lower()):
            return "", replace(place, rate=rate_factor(rate, RATES) or 1.0)
    return "", place


def _change(before: _Place, after: _Place) -> str:
    marks = f" [voice:{after.voice}] " if after.voice != before.voice else ""
    # Kokoro-FastAPI's marks of voices end the rate.
    if after.rate != before.rate or (marks and after.rate != 1):
        marks += f" [rate:{after.rate}] "
    return marks
