"""POST /v1/audio/alignments over a real socket: the words of a given text in a recording."""

import asyncio
from typing import Any

import httpx2
import numpy as np
import pytest

import kani
from kani.core.audio.pcm import wav
from tests.library.recorded_texts import RATE, RecordedText, errors_ms, recorded
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.app_server import AppServer

PATH = "/v1/audio/alignments"


@pytest.fixture(scope="module")
def story(speech: kani.Speech) -> RecordedText:
    lines = ("¿A qué hora sale el tren?", "Hoy comemos sopa de pescado con pan.")
    return recorded([speech.say(line, voice="espeak:es-419", language="es", speed=1.2) for line in lines], 1)


def post(app: AppServer, story: RecordedText, **fields: Any) -> httpx2.Response:
    file = wav(story.samples, RATE)
    return httpx2.post(
        f"{app.http_url}{PATH}", files={"file": file}, data={"text": story.text, **fields}, timeout=WITHIN_S
    )


def test_words_have_times_samples_and_confidence(app: AppServer, story: RecordedText) -> None:
    answer = post(app, story, model="qwen3-aligner", language="Spanish", busy_timeout_ms="5")
    assert answer.status_code == 200 and answer.headers["x-unused"] == "busy_timeout_ms"
    found = answer.json()
    assert (found["text"], found["language"], found["sample_rate"]) == (story.text, "Spanish", RATE)
    assert found["duration"] == pytest.approx(len(story.samples) / RATE, abs=0.01)
    assert found["confidence"] > 0.8 and min(word["confidence"] for word in found["words"]) > 0.3
    words = [kani.Word(word["word"], word["start"], word["end"]) for word in found["words"]]
    assert np.percentile(errors_ms(words, story), 95) < 60
    assert all(word["start_sample"] == pytest.approx(word["start"] * RATE, abs=9) for word in found["words"])


@pytest.mark.parametrize(("form", "kind"), [("srt", "text/plain"), ("vtt", "text/vtt")])
def test_subtitles_are_files(app: AppServer, story: RecordedText, form: str, kind: str) -> None:
    answer = post(app, story, response_format=form)
    assert answer.headers["content-type"].startswith(kind)
    assert "-->" in answer.text and "¿A qué hora sale el tren?" in answer.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": ""}, "text"),
        ({"text": "…"}, "text"),
        ({"text": "a " * 150_001}, "text"),
        ({"language": "xyzzy!"}, "language"),
        ({"response_format": "docx"}, "response_format"),
    ],
)
def test_wrong_field_is_named(
    app: AppServer, story: RecordedText, fields: dict[str, str], param: str
) -> None:
    answer = post(app, story, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_missing_file_is_named(app: AppServer) -> None:
    answer = httpx2.post(f"{app.http_url}{PATH}", files={"text": (None, "Hola.")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


async def test_work_ends_when_its_client_leaves(app: AppServer, story: RecordedText) -> None:
    long = wav(np.tile(story.samples, 120), RATE)
    async with httpx2.AsyncClient() as client:
        answer = asyncio.create_task(
            client.post(f"{app.http_url}{PATH}", files={"file": long}, data={"text": story.text * 120})
        )
        await happens(lambda: app.service.budgets.alignments.used > 0)
        answer.cancel()
    await happens(lambda: app.service.budgets.recordings.used == 0)
    assert app.service.state().sessions == app.service.budgets.alignments.used == 0
