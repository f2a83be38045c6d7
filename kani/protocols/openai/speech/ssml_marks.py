"""GET and POST /dev/ssml: an SSML document as a text with marks, as Kokoro-FastAPI has it.

The calls of speech read SSML themselves, and more of it than marks can say.
"""

from __future__ import annotations

import asyncio
from operator import itemgetter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.errors import TextTooLong
from kani.protocols.openai.errors import ApiError, endpoint, json_response
from kani.protocols.openai.settings import OpenAISettings
from kani.protocols.openai.speech.body import field, read_object
from kani.protocols.openai.unused import unknown_fields, unused_header
from kani.text.markup.masked_text import PARAGRAPH_END, PRIVATE_USE, Break
from kani.text.markup.tags import STRENGTHS_S
from kani.text.ssml import PLAIN_STYLE, SsmlDocument, Style, begins_document, parse
from kani.text.ssml.values import MAX_RATE, MIN_RATE, RATES

PATH = "/dev/ssml"

ELEMENTS = {
    "speak": "The document.",
    "p": "A paragraph.",
    "s": "A sentence.",
    "break": "[pause:SECONDSs], by its time or its strength.",
    "voice": "[voice:NAME], and the voice of the request at its end; needs a voice of the request.",
    "prosody": "[rate:FACTOR], and the rate before it at its end; needs a voice of the request.",
    "emphasis": "[rate:FACTOR], as prosody.",
    "sub": "Its alias.",
    "desc": "Nothing: it is not spoken.",
}
"""Elements, and what becomes of them."""

IGNORED = ("audio", "lang", "mark", "phoneme", "say-as", "w")
"""Elements of which only the content is left."""


def ssml_routes(settings: OpenAISettings) -> list[BaseRoute]:
    """Return both calls."""

    async def translate(request: Request) -> Response:
        given = read_object(await request.body())
        text: str | None = field(given, "text", str)
        voice = (field(given, "voice", str) or "").strip()
        if text is None:
            raise ApiError(400, "text: is needed", "text", "missing_required_parameter")
        if len(text) > settings.max_text:
            raise TextTooLong(settings.max_text)
        unused = unknown_fields(
            (name for name, value in given.items() if value is not None), {"text", "voice"}
        )
        if begins_document(text):
            document = await asyncio.to_thread(parse, text)
            text = with_marks(document, voice)
            unused += document.unused
        return json_response({"text": text}, headers=unused_header(unused))

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


def with_marks(document: SsmlDocument, voice: str) -> str:
    """Return the text of a document with marks of its pauses, voices and rates.

    voice: the request's, which a ``<voice>`` gives back at its end; without one only pauses are marked.
    """
    plain = "".join(part for part in document.parts if isinstance(part, str))
    pieces: list[tuple[int, int, str]] = []  # what stands for a range of the text
    style, at = PLAIN_STYLE, 0
    for part in document.parts:
        match part:
            case str():
                at += len(part)
            case Break(seconds):
                pieces.append((at, at, f" [pause:{seconds:g}s] "))
            case Style() if voice:
                pieces.append((at, at, _style_marks(style, part, voice)))
                style = part
    pieces += [(start, found.end, found.spelling) for start, found in document.replacements.items()]
    written, done = [], 0
    for start, end, shown in sorted(pieces, key=itemgetter(0)):
        written += [plain[done:start], shown]
        done = max(done, end)
    written.append(plain[done:])
    paragraphs = PRIVATE_USE.sub("", "".join(written)).split(PARAGRAPH_END)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()


def _style_marks(before: Style, style: Style, voice: str) -> str:
    named = style.voice or voice
    marks = f" [voice:{named}] " if named != (before.voice or voice) else ""
    # Kokoro-FastAPI's marks of voices end the rate.
    if style.rate != before.rate or (marks and style.rate != 1):
        marks += f" [rate:{style.rate:.4g}] "
    return marks
