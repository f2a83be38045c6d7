"""A blind comparison of two speakers as one HTML file, with the speech in it."""

from __future__ import annotations

import base64
import html
import json
import random
from collections.abc import Sequence
from pathlib import Path

from kani.core.audio.encoding import AudioFormat, FileEncoder
from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE

FLAC = AudioFormat("flac", "flac", SAMPLE_RATE, None, "audio/flac")

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Which one sounds better?</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }}
li {{ margin: 1.2rem 0 }} audio {{ vertical-align: middle; height: 2rem }} label {{ margin-right: 1rem }}
</style>
<h1>Which one sounds better?</h1>
<p>Each sentence is spoken twice, in an order that was drawn by chance. Listen to both, and choose. The count
is shown once all are chosen; nothing is sent anywhere.</p>
<ol id="list">{items}</ol>
<p id="result" role="status"></p>
<script>
const names = {names}, orders = {orders};
document.addEventListener("play", (event) => {{
  for (const audio of document.querySelectorAll("audio")) {{
    if (audio !== event.target) audio.pause();
  }}
}}, true);
document.getElementById("list").addEventListener("change", () => {{
  const chosen = [...document.querySelectorAll("input:checked")];
  const result = document.getElementById("result");
  if (chosen.length < orders.length) {{
    result.textContent = `${{chosen.length}} of ${{orders.length}} chosen`;
    return;
  }}
  const counts = new Map([...names, "no difference"].map((name) => [name, 0]));
  for (const input of chosen) {{
    const order = orders[Number(input.name)];
    const name = input.value === "same" ? "no difference" : names[order[Number(input.value)]];
    counts.set(name, counts.get(name) + 1);
  }}
  result.textContent = [...counts].map(([name, count]) => `${{name}}: ${{count}}`).join(", ");
}});
</script>
</html>
"""


def write_page(
    file: Path, texts: Sequence[str], pairs: Sequence[tuple[Samples, Samples]], names: tuple[str, str]
) -> None:
    """Write the page; pairs: of each text, spoken by the two of ``names``, at Kokoro's sample rate."""
    drawn = random.Random(0)
    orders = [drawn.sample((0, 1), 2) for _ in texts]
    items = [
        _item(at, text, [pair[which] for which in order])
        for at, (text, pair, order) in enumerate(zip(texts, pairs, orders, strict=True))
    ]
    page = PAGE.format(items="\n".join(items), names=json.dumps(names), orders=json.dumps(orders))
    file.write_text(page, encoding="utf-8")


def _item(at: int, text: str, both: Sequence[Samples]) -> str:
    choices = "".join(
        f'<label><input type="radio" name="{at}" value="{value}"> {name}</label>'
        for value, name in (("0", "first"), ("1", "second"), ("same", "no difference"))
    )
    players = "".join(
        f'<audio controls preload="none" aria-label="{name}" src="{_encoded(samples)}"></audio>'
        for name, samples in zip(("first", "second"), both, strict=True)
    )
    return f"<li><p>{html.escape(text)}</p><p>{players}</p><p>{choices}</p></li>"


def _encoded(samples: Samples) -> str:
    encoder = FileEncoder(FLAC, SAMPLE_RATE)
    encoder.add(samples)
    content = base64.b64encode(encoder.finish()).decode()
    return f"data:{FLAC.content_type};base64,{content}"
