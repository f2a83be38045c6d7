"""Every field of every HTTP call with values that break parsers: answered in the call's own way.

The calls and their fields are those of the OpenAPI document, which tests of its own compare with the routes
and the parsers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from kani.core.audio.pcm import wav
from kani.protocols.shared.calls.call import FORM, JSON
from tests.protocols.foreign.house import HALF_IN_URL, HEADERS, house
from tests.protocols.foreign.values import BROKEN, HALF, TEXTS, is_json, messages, resolved, shown

RATE = 16_000
RECORDING = wav(np.sin(np.arange(2 * RATE) / 20).astype(np.float32) * 0.6, RATE)
WITHOUT_SSML = ("/dev/dialogue",)  # it would speak thousands of digits
HALF_IN_FORM = HALF.encode("utf-8", "surrogatepass")


class Attempt(NamedTuple):
    """A request with one bad value."""

    about: str
    request: httpx.Request


def attempts(method: str, path: str, call: Mapping[str, Any]) -> Iterator[Attempt]:
    """Requests of a call of the document."""
    parameters = call.get("parameters", ())
    good = {each["name"]: _example(each["schema"]) for each in parameters if each["in"] == "path"}
    content = call.get("requestBody", {}).get("content", {})
    kind, media = next(iter(content.items()), ("", {}))
    example = media.get("example")

    def request(about: str, url: str = "", query: str = "", **rest: Any) -> Attempt:
        url = url or path.format(**{name: quote(value) for name, value in good.items()})
        if "content" not in rest and "files" not in rest:
            rest |= _body(kind, example)
        return Attempt(f"{method} {path}, {about}", httpx.Request(method, f"http://x{url}{query}", **rest))

    texts = [(shown(text), quote(text[:3000])) for text in TEXTS] + [("half", HALF_IN_URL)]
    for parameter in parameters:
        name, place = parameter["name"], parameter["in"]
        for about, text in texts:
            if place == "path":
                bad = {key: text if key == name else quote(value) for key, value in good.items()}
                yield request(f"{name} = {about}", path.format(**bad))
            elif place == "query":
                yield request(f"?{name} = {about}", query=f"?{name}={text}")
    for name in {*HEADERS, *(each["name"] for each in parameters if each["in"] == "header")}:
        for text in ("9" * 5000, "1e5000", "²", HALF):
            value = text.encode("utf-8", "surrogatepass")
            yield request(f"{name}: {shown(text)}", headers=[(name.encode(), value)])
    if kind == JSON:
        yield from (request(f"body {each[:20]!r}", content=each) for each in BROKEN)
        found = messages(media["schema"], example, ssml=path not in WITHOUT_SSML)
        yield from (request(about, content=text) for about, text in found)
    elif kind == FORM:
        yield from (request(about, **form) for about, form in _forms(media["schema"], example))


def _example(schema: Mapping[str, Any]) -> str:
    return str((schema.get("examples") or schema["enum"])[0])


def _forms(schema: Mapping[str, Any], example: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in schema["properties"]:
        for value in [*(text.encode() for text in TEXTS), HALF_IN_FORM, b'{"a": "\\ud800"}', b"[" * 10_000]:
            yield f"{name} = {value[:20]!r}", _body(FORM, {**example, name: value})
    yield "a name", {"content": b"--x\r\n" + HALF_IN_FORM, "headers": {"content-type": f"{FORM}; boundary=x"}}


def _body(kind: str, example: Any) -> dict[str, Any]:
    match kind:
        case "":
            return {}
        case "application/json":
            return {"json": example}
        case "multipart/form-data":
            parts = [
                (name, ("a.wav", RECORDING) if str(value)[:1] == "@" else (None, value))
                for name, value in example.items()
            ]
            return {"files": parts}
    return {"content": b"a book"}


async def test_calls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    problems: list[str] = []
    async with house(tmp_path, caplog) as here, httpx.AsyncClient() as client:
        port = here.server.port
        spec = (await client.get(f"http://localhost:{port}/openapi.json")).json()
        schemas = spec["components"]["schemas"]

        async def send(attempt: Attempt) -> int:
            request = attempt.request
            request.url = request.url.copy_with(host="localhost", port=port)
            request.headers.update({"host": f"localhost:{port}", "authorization": "Bearer public_token"})
            try:
                answer = await client.send(request)
            except httpx.HTTPError as error:
                problems.append(f"{attempt.about}: no answer: {error!r}")
                return 0
            problems.extend(f"{attempt.about}: {each}" for each in here.logged())
            if answer.headers.get("content-type") == JSON and not is_json(answer.text):
                problems.append(f"{attempt.about}: no JSON: {answer.text[:200]}")
            return answer.status_code

        for path, methods in spec["paths"].items():
            for method, call in methods.items():
                asked = {part: call[part] for part in ("parameters", "requestBody") if part in call}
                for attempt in attempts(method.upper(), path, resolved(asked, schemas)):
                    status = await send(attempt)
                    if status == 429 or status >= 500:
                        problems.append(f"{attempt.about}: {status}")
        good = httpx.Request("POST", "http://x/v1/audio/speech", json={"input": "uno", "voice": "tone_es"})
        assert await send(Attempt("a good request", good)) == 200
    assert not problems, "\n".join(problems[:100])
