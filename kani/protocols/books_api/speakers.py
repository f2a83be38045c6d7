"""``POST /v1/books/speakers``: the language model proposes who says each part of a chapter's dialogue."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kani.books.book import line
from kani.core.chat_model import ChatFailed, ChatMessage, ChatModel, ChatRequest, ChatText
from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.protocols.shared.calls.bodies import object_of, read
from kani.protocols.shared.errors import RequestError
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani_text import foreign
from kani_text.dialogue import dialogue

MAX_CHARACTERS, MAX_NAME, MAX_SPEAKERS = 60_000, 60, 50
MAX_BODY_BYTES = 1 << 20
_GENDERS = ("female", "male")
_PARTS, _BEFORE, _MAX_TOKENS, _MAX_ANSWER = 40, 1_500, 2_000, 20_000
"""Parts of a dialogue in one question, characters before them, tokens and characters of its answer."""
_WITHIN_S = 100.0
_TASK = """In this story each spoken part stands in braces after its number: {1: "Come!"}. Who speaks?
Answer with one JSON object only: {"lines": {"1": NAME, ...}, "genders": {NAME: "female" or "male", ...}}
NAME is one name that the story calls the person by, always the same, or "" where nobody can be known."""

Name = Annotated[str, Meta(max_length=MAX_NAME)]


class Chapter(msgspec.Struct):
    """A chapter, to find its speakers. known: names of persons in earlier chapters."""

    text: Annotated[str, Meta(max_length=MAX_CHARACTERS)]
    language: Annotated[str, Meta(max_length=MAX_NAME)] = ""
    known: Annotated[list[Name], Meta(max_length=MAX_SPEAKERS)] = []


class _Answer(msgspec.Struct):
    lines: dict[int, str | None]
    genders: dict[str, str | None] = {}


async def speakers(service: SpeechService, request: Request) -> Response:
    """Answer with the speakers, and the index of each part's speaker. Raises RequestError."""
    model = service.chat_model
    if model is None:
        raise RequestError(400, "no language model is set: start the server with --llm")
    body = object_of(await request.body(), "the body must be JSON", lambda words: RequestError(400, words))
    try:
        async with asyncio.timeout(_WITHIN_S):
            proposed = _proposed(model, read(body, Chapter))
            return JSONResponse(await cancel_on_disconnect(request, proposed))
    except InvalidRequest as error:
        raise RequestError(400, str(error), error.field) from error
    except TimeoutError:
        raise RequestError(503, f"the language model took more than {_WITHIN_S:.0f} s") from None
    except ChatFailed as error:
        raise RequestError(502, f"the language model told no speakers: {error}") from error
    except foreign.Unreadable as error:
        raise RequestError(502, "the language model's answer is no list of speakers") from error


async def _proposed(model: ChatModel, chapter: Chapter) -> dict[str, object]:
    parts = list(enumerate(await asyncio.to_thread(dialogue, chapter.text, chapter.language), 1))
    genders, names = dict.fromkeys(chapter.known, ""), list[str]()
    for first in range(0, len(parts), _PARTS):
        some = parts[first : first + _PARTS]
        told = await _told(model, chapter.text, some, [*genders])
        genders |= {_name(each): gender for each, gender in told.genders.items() if gender in _GENDERS}
        names += [_name(told.lines.get(number)) for number, _ in some]
        genders |= {name: "" for name in names if name and name not in genders}
    persons = [name for name in dict.fromkeys(names) if name][:MAX_SPEAKERS]
    places = {name: place for place, name in enumerate(persons)}
    speaking = [{"name": name, "gender": genders.get(name, "")} for name in persons]
    return {"speakers": speaking, "lines": [places.get(name) for name in names]}


async def _told(
    model: ChatModel, text: str, parts: list[tuple[int, tuple[int, int]]], known: list[str]
) -> _Answer:
    """Ask for the speakers of some parts of a text. Raises ChatFailed, and Unreadable for an odd answer."""
    at = max(0, parts[0][1][0] - _BEFORE)
    marked = ""
    for number, (begin, end) in parts:
        marked += f"{text[at:begin]}{{{number}: {text[begin:end]}}}"
        at = end
    asked = f"Persons so far: {', '.join(known[-MAX_SPEAKERS:]) or 'none'}\n\n{marked}{text[at : at + 200]}"
    request = ChatRequest((ChatMessage("system", _TASK), ChatMessage("user", asked)), max_tokens=_MAX_TOKENS)
    answer = ""
    async with aclosing(model.answer(request)) as events:
        async for event in events:
            answer += event.text if isinstance(event, ChatText) and len(answer) < _MAX_ANSWER else ""
    # Models write words or marks of code around it.
    return foreign.decode_json(answer[answer.find("{") : answer.rfind("}") + 1].encode(), _Answer)


def _name(given: str | None) -> str:
    return line(given or "")[:MAX_NAME]
