"""The web page in Chromium: time to first sound, timing of the highlighted words, accessibility.

A click is the browser's own event; the first sound is the first sample that is not zero, when the page learns
that the audio thread has rendered it. A word is lit when the document changes; it is heard when the clock of
the audio output (``AudioContext.getOutputTimestamp``) reaches the sample at which the server says it begins.
Everything is looked at from outside: nothing in the page knows that it is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from benchmarks.report import ms, percentile, report_section, table
from benchmarks.server_process import HOST, Server
from tests.page.visitor import Visitor, find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COLD, WARM = 8, 15
TEXTS = (
    "The birds are singing in the garden this morning.",
    "What shall we talk about today, while the sun is out?",
    "Every word is lit at the moment at which it is heard.",
)

SPY = """
  window.seen = { clicks: [], sounds: [], lit: [], anchors: [] };
  const clicked = (event) => event.target.closest("#speak") && seen.clicks.push(event.timeStamp);
  addEventListener("click", clicked, true);
  let context = null;
  const output = () => context.getOutputTimestamp();
  window.AudioContext = class extends AudioContext {
    constructor(...options) {
      super(...options);
      context = this;
    }
  };
  window.AudioWorkletNode = class extends AudioWorkletNode {
    constructor(...options) {
      super(...options);
      this.port.addEventListener("message", ({ data }) => {
        seen.anchors.push(data);
        const { contextTime, performanceTime } = output();
        const heard = performanceTime + (data.time - contextTime) * 1000;
        if (data.kind === "sound") seen.sounds.push([performance.now(), heard]);
      });
    }
  };
  addEventListener("DOMContentLoaded", () => {
    const words = document.querySelector("#words");
    let before = "";
    new MutationObserver(() => {
      const at = performance.now();
      const now = words.querySelector(".now");
      if (!now) return;
      let start = 0;
      for (let node = words.firstChild; node !== now; node = node.nextSibling) {
        start += [...node.textContent].length;
      }
      const length = [...now.textContent].length;
      const place = `${start} ${length}`;
      if (place !== before) {
        const { contextTime, performanceTime } = output();
        seen.lit.push([at, start, contextTime, performanceTime, length]);
      }
      before = place;
    }).observe(words, { subtree: true, childList: true, attributes: true });
  });
"""


@dataclass
class Figures:
    """Times of one engine, in seconds: from the click to first sound, and of highlighted words."""

    cold: list[tuple[float, float]] = field(default_factory=list)
    warm: list[tuple[float, float]] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    words: int = 0


def speak(visitor: Visitor, text: str) -> tuple[float, float]:
    """Speak a text to its end; return the seconds from the click to its first sound, rendered and audible."""
    visitor.frames.clear()
    visitor.page.evaluate("for (const list of Object.values(seen)) list.length = 0")
    visitor.page.fill("#text", text)
    visitor.page.click("#speak")
    visitor.wait_for_sound()
    visitor.wait_for_end()
    seen = visitor.page.evaluate("seen")
    clicked = seen["clicks"][0]
    rendered, heard = seen["sounds"][0]
    return (rendered - clicked) / 1000, (heard - clicked) / 1000


def lateness(visitor: Visitor) -> Iterator[float]:
    """Yield the delay of each word's highlight in the last text after its first sound, in seconds."""
    seen: dict[str, Any] = visitor.page.evaluate("seen")
    begun = {start: start_s for frame in visitor.frames for start, _, start_s, _ in frame.metadata["spans"]}
    playing = [anchor for anchor in seen["anchors"] if anchor["kind"] == "playing"]
    for at, start, context_s, context_at, _ in seen["lit"]:
        anchor = [anchor for anchor in playing if anchor["position"] <= begun[start] + 1e-6][-1]
        heard_s = anchor["time"] + begun[start] - anchor["position"]
        yield (at - context_at) / 1000 - (heard_s - context_s)


def measure(browser: Browser, server: Server, language: str) -> Figures:
    """Measure one engine."""
    figures = Figures()
    for n in range(COLD):
        visitor = arrive(browser, server, language)
        figures.cold.append(speak(visitor, TEXTS[n % len(TEXTS)]))
        visitor.page.context.close()
    visitor = arrive(browser, server, language)
    speak(visitor, TEXTS[0])
    for n in range(WARM):
        text = TEXTS[n % len(TEXTS)]
        figures.warm.append(speak(visitor, text))
        figures.late.extend(lateness(visitor))
        figures.words += len(text.split())
    visitor.page.context.close()
    return figures


def arrive(browser: Browser, server: Server, language: str, **options: Any) -> Visitor:
    """Open the page in a new browser context."""
    context = browser.new_context(locale="en-US", **options)
    visitor = Visitor(context.new_page(), f"http://{HOST}:{server.port}/")
    visitor.page.add_init_script(SPY)
    visitor.arrive()
    visitor.choose("#language", language)
    return visitor


def violations(browser: Browser, server: Server) -> int:
    """Count axe-core's findings: light, dark, wide, narrow, while speaking, with every panel open."""
    found = 0
    for scheme in ("light", "dark"):
        for width in (360, 1180):
            size = {"width": width, "height": 800}
            visitor = arrive(browser, server, "en", color_scheme=scheme, viewport=size)
            visitor.page.click("#parameters summary")
            visitor.page.click("#speak")
            visitor.wait_for_sound()
            found += Axe().run(visitor.page).violations_count
            visitor.page.click("#add-voice")
            found += Axe().run(visitor.page).violations_count
            visitor.page.context.close()
    return found


def rows(engine: str, figures: Figures) -> list[list[str]]:
    """Return the rows of an engine."""

    def row(what: str, values: Sequence[float]) -> list[str]:
        quantiles = [ms(percentile(values, percent)) for percent in (50, 95)]
        return [engine, what, str(len(values)), *quantiles, ms(max(values))]

    apart = [abs(value) for value in figures.late]
    return [
        row("first click of a page → first sound", [rendered for rendered, _ in figures.cold]),
        row("a later click → first sound", [rendered for rendered, _ in figures.warm]),
        row("a later click → heard, by the output's clock", [heard for _, heard in figures.warm]),
        row(f"a word's light and its sound apart ({len(apart)} of {figures.words} words lit)", apart),
    ]


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m benchmarks.server.page", description=__doc__).parse_args()
    path = find_browser()
    if path is None:
        raise SystemExit("no Chromium is installed here")
    with report_section("The web page in Chromium", "playwright", "axe-playwright-python"):
        lines: list[list[str]] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path)
            for engine in ("espeak", "kokoro"):
                with Server("--engine", engine) as server:
                    lines += rows(engine, measure(browser, server, "en"))
                    if engine == "espeak":
                        found = violations(browser, server)
            version = browser.version
            browser.close()
        print(table(("engine", "measure", "n", "median", "95 %", "worst"), lines))
        print(f"\nChromium {version}; axe-core violations: {found}.")


if __name__ == "__main__":
    main()
