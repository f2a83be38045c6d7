"""POST /v1/books/speakers: what a language model proposes is checked; an odd answer is told."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from kani.core.chat_model import ChatEnd, ChatFailed, ChatRequest, ChatText
from kani.protocols.books_api import protocol as books_api
from kani.protocols.books_api.calls import SPEAKERS_PATH
from tests.support.sessions import build

TEXT = "“Come in,” said Tom. “Sit.”\n\n“Why?” Ann asked him."


class Model:
    """A language model that answers with these texts, in turn."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[str]()

    async def answer(self, request: ChatRequest) -> AsyncIterator[Any]:
        self.asked.append(request.messages[-1].text)
        if not self.answers:
            raise ChatFailed("unreachable", "it cannot be reached")
        for piece in self.answers.pop(0).split("|"):
            yield ChatText(piece)
        yield ChatEnd("stop")


async def ask(model: Model | None, folder: Path, **body: Any) -> httpx2.Response:
    service = build(folder)
    service.chat_model = model  # type: ignore[assignment]
    transport = httpx2.ASGITransport(Starlette(routes=books_api.routes(service)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post(SPEAKERS_PATH, json={"text": TEXT, "language": "en"} | body)


async def test_speakers_are_proposed(tmp_path: Path) -> None:
    told = {
        "lines": {"1": "Tom", "2": " Tom\n", "3": "Ann", "9": "Eve"},
        "genders": {"Ann": "female", "Tom": "?"},
    }
    model = Model(f"Sure: ```json\n{json.dumps(told)[:20]}|{json.dumps(told)[20:]}```")
    answer = await ask(model, tmp_path, known=["Ann"])
    assert answer.json() == {
        "speakers": [{"name": "Tom", "gender": ""}, {"name": "Ann", "gender": "female"}],
        "lines": [0, 0, 1],
    }
    (asked,) = model.asked
    assert "Ann" in asked and "{1: “Come in,”} said Tom. {2: “Sit.”}\n\n{3: “Why?”} Ann asked him." in asked


async def test_long_dialogue_is_asked_for_in_parts(tmp_path: Path) -> None:
    told = [json.dumps({"lines": {str(n): f"P{n}" for n in range(first, first + 40)}}) for first in (1, 41)]
    model = Model(*told)
    answer = (await ask(model, tmp_path, text="“So.” " * 70)).json()
    # No more persons than the limit.
    assert answer["lines"] == [*range(50), *[None] * 20] and len(answer["speakers"]) == 50
    assert "{41: “So.”}" not in model.asked[0] and "{41: “So.”}" in model.asked[1]
    # Names without a gender are known, too: the last of them.
    model = Model(*told)
    await ask(model, tmp_path, text="“So.” " * 70, known=[f"K{n}" for n in range(50)])
    assert "so far: K40, K41" in model.asked[1] and "K49, P1, P2" in model.asked[1]


@pytest.mark.parametrize(
    ("answers", "body", "status", "words"),
    [
        (["I do not know."], {}, 502, "no list of speakers"),
        (['{"lines": {"one": "Tom"}}'], {}, 502, "no list of speakers"),
        ([], {}, 502, "it cannot be reached"),
        ([], {"text": "a" * 60_001}, 400, "text"),
        ([], {"known": ["a" * 61]}, 400, "known"),
        (None, {}, 400, "--llm"),
    ],
)
async def test_what_cannot_be_told_is_explained(
    tmp_path: Path, answers: list[str] | None, body: dict[str, Any], status: int, words: str
) -> None:
    answer = await ask(None if answers is None else Model(*answers), tmp_path, **body)
    assert answer.status_code == status and words in answer.json()["error"]["message"]
