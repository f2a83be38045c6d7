"""OpenAI's Agents SDK in Chromium, unmodified, over WebRTC: its microphone is a file."""

from pathlib import Path

import aiortc  # noqa: F401 - the server's
import numpy as np
import pytest
from playwright.async_api import async_playwright

from kani.core.audio.pcm import wav
from tests.clients.openai.test_conversations import LAST, LONG, conversing
from tests.clients.openai.test_node import project  # noqa: F401 - a fixture
from tests.clients.openai_realtime import RATE, loud, quiet
from tests.page.visitor import BROWSERS, ENVIRONMENT, PATIENCE_MS, find_browser

BUNDLE = "node_modules/@openai/agents-realtime/dist/bundle"
SCRIPT = (Path(__file__).parent / "browser.js").read_text()

pytestmark = pytest.mark.server


async def test_agents_sdk_talks_by_webrtc(project: Path, tmp_path: Path) -> None:  # noqa: F811
    path = find_browser()
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is installed")
    turn = np.concatenate([quiet(0.3), loud(0.4, level=0.9), quiet(2.5)])
    (tmp_path / "turn.wav").write_bytes(wav(turn, RATE))
    media = [f"--use-fake-{name}-for-media-stream" for name in ("device", "ui")]
    media.append(f"--use-file-for-fake-audio-capture={tmp_path / 'turn.wav'}")
    arguments = [*media, "--autoplay-policy=no-user-gesture-required"]
    async with conversing(tmp_path) as (server, endpoint), async_playwright() as playwright:
        made = await server.post("/v1/realtime/client_secrets", json={})
        browser = await playwright.chromium.launch(executable_path=path, args=arguments, env=ENVIRONMENT)
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        # A page of the server's own origin: Chromium asks its user before another reads from this machine.
        own, folder = f"{server.http_url}/test", project / BUNDLE
        await page.route(f"{own}/", lambda route: route.fulfill(content_type="text/html", body="<p>"))
        names = f"{own}/bundle/*"
        await page.route(names, lambda route: route.fulfill(path=folder / Path(route.request.url).name))
        await page.goto(f"{own}/")
        given = {
            "bundle": f"{own}/bundle/openai-realtime-agents.mjs",
            "url": f"{server.http_url}/v1/realtime/calls",
            "key": made.json()["value"],
        }
        talk = await page.evaluate(SCRIPT, given)
        await browser.close()
    assert talk["errors"] == [] and {"tool_end", "conversation.item.truncated"} <= {*talk["seen"]}
    assert talk["callId"].startswith("rtc_")
    assert talk["heard"] > 0.1 and talk["sameAnswer"] and talk["silentMs"] is not None
    asked = [body["messages"] for body in endpoint.requests]
    assert "sunny in Oslo" in str(next(each for each in asked if each[-1]["role"] == "tool")[-1])
    heard = next(message for message in asked[-1] if message["role"] == "assistant" and message["content"])
    assert LONG.startswith(heard["content"]) and heard["content"] != LONG
    assert LAST in str(talk["history"][-1])
