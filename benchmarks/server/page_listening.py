"""The web page in Chromium: how long after it was said a word of the microphone stands on the page.

The microphone is a file that the browser plays; the page's transcript says when in it each word ended. Most
of that time is the recogniser's: the page's share, from a word's message to the document, stands beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from playwright.sync_api import sync_playwright

from benchmarks.report import ms, percentile, report_section, table
from benchmarks.server_process import HOST, Server
from tests.page.visitor import Visitor, find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

SAID = (
    "The birds are singing in the garden this morning. What shall we talk about today, while the sun is out? "
    "The train to the coast leaves at half past nine, and she closed the book, looked out of the window, and "
    "began to laugh. If the rain stops before noon, we could still walk up to the old castle."
)
RATE = 24_000
SILENCE_S = 6
CAPTURE_S = 0.04
"""Audio in one message of the page."""

SPY = """
  window.seen = { first: 0, words: [], messages: [] };
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (this.url.includes("asr") && !seen.first && data.byteLength > 1000) {
      seen.first = performance.now();
      this.addEventListener("message", ({ data }) => {
        const head = new TextDecoder("latin1").decode(data.slice(0, 20));
        if (head.includes("EndWord")) seen.messages.push(performance.now());
      });
    }
    return send.call(this, data);
  };
  const counted = new WeakSet();
  addEventListener("DOMContentLoaded", () => {
    const watcher = new MutationObserver((changes) => {
      const at = performance.now();
      for (const { addedNodes } of changes) {
        for (const node of addedNodes) {
          if (node.tagName !== "P" && node.tagName !== "SPAN") continue;
          const spans = node.tagName === "SPAN" ? [node] : node.querySelectorAll("span");
          for (const span of spans) {
            if (!counted.has(span)) seen.words.push([span.textContent, at]);
            counted.add(span);  // with its paragraph and by itself
          }
        }
      }
    });
    watcher.observe(document.querySelector("#transcript"), { childList: true, subtree: true });
  });
"""


def record(server: Server, path: Path) -> float:
    """Write the microphone's file; returns the seconds of speech in it."""
    body = {"input": SAID, "voice": "af_heart", "model": "tts-1", "response_format": "pcm"}
    answer = httpx.post(f"http://{HOST}:{server.port}/v1/audio/speech", json=body, timeout=300)
    pcm = answer.raise_for_status().content
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm + bytes(2 * RATE * SILENCE_S))
    return len(pcm) / 2 / RATE


def listen(playwright: Playwright, server: Server, microphone: Path, seconds: float) -> dict[str, Any]:
    """Transcribe the microphone once; returns what was seen, and the words with their times."""
    arguments = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    browser = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
    visitor = Visitor(browser.new_page(locale="en-US"), f"http://{HOST}:{server.port}/")
    page = visitor.page
    page.add_init_script(SPY)
    visitor.arrive()
    page.click("#tab-listen")
    page.select_option("#listen-language", "en")
    page.click("#listen")
    page.wait_for_timeout(1000 * (seconds + SILENCE_S - 2))
    page.click("#listen")
    page.wait_for_selector("#listen-status:text-is('Done')")
    words = json.loads(visitor.download("#listen-json"))["words"]
    seen: dict[str, Any] = page.evaluate("seen")
    browser.close()
    return seen | {"timed": words}


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.server.page_listening", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    if find_browser() is None:
        raise SystemExit("no Chromium is installed here")
    with (
        report_section("Live words on the web page in Chromium", "playwright"),
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        Server("--engine", "kokoro") as server,
    ):
        microphone = Path(folder) / "microphone.wav"
        seconds = record(server, microphone)
        late: list[float] = []
        own: list[float] = []
        for _ in range(given.rounds):
            seen = listen(playwright, server, microphone, seconds)
            began = seen["first"] / 1000 - CAPTURE_S
            shown = seen["words"]
            late += [
                at / 1000 - began - word["end"] for word, (_, at) in zip(seen["timed"], shown, strict=True)
            ]
            own += [(at - came) / 1000 for (_, at), came in zip(shown, seen["messages"], strict=False)]
        rows = [
            [
                what,
                str(len(values)),
                *(ms(percentile(values, percent)) for percent in (50, 90)),
                ms(max(values)),
            ]
            for what, values in (("a word said → on the page", late), ("its message → on the page", own))
        ]
        print(table(("measure", "n", "median", "90 %", "worst"), rows))


if __name__ == "__main__":
    main()
