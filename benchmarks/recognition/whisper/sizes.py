"""The pass of a Whisper of each published size, and the delay that live words have by it.

The weights are random: a pass takes as long with them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.report import report_section, table
from kani.engines.whisper.checkpoint.contents import read_contents
from kani.engines.whisper.live_pass import usual_pass
from kani.engines.whisper.model import Whisper
from kani.runtime.recognition import live_delay
from tests.engines.whisper.checkpoint.random_checkpoint import Kind, random_checkpoint

SIZES: dict[str, tuple[Kind, tuple[int, int, int, int]]] = {
    "tiny": ("multilingual", (384, 6, 4, 4)),
    "base": ("multilingual", (512, 8, 6, 6)),
    "small": ("multilingual", (768, 12, 12, 12)),
    "distil-small.en": ("english", (768, 12, 12, 4)),
    "medium": ("multilingual", (1024, 16, 24, 24)),
    "large-v3-turbo": ("large-v3", (1280, 20, 32, 4)),
    "large-v3": ("large-v3", (1280, 20, 32, 32)),
}
"""The vocabulary's kind; width, heads, and layers of the encoder and the decoder."""

HEAD = ("checkpoint", "file, MB", "load, s", "a pass on one core, s", "live words after, s", "cores wanted")


def measure(name: str) -> list[str]:
    """Return the row of a size."""
    kind, (width, heads, encoder, decoder) = SIZES[name]
    sizes = {
        "d_model": width,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width,
        "encoder_layers": encoder,
        "decoder_layers": decoder,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = random_checkpoint(Path(folder, name), kind, quantization="float16", **sizes)
        size = (path / "model.bin").stat().st_size
        contents = read_contents(path)
        began = time.perf_counter()
        whisper = Whisper(contents.files, 1)
        load_s = time.perf_counter() - began
        pass_s = live_delay.measure_pass(partial(usual_pass, whisper))
    delay = f"{live_delay.delay_s(pass_s):.2f}"
    cores = str(live_delay.cores_needed(pass_s))
    return [name, f"{size / 1e6:.0f}", f"{load_s:.1f}", f"{pass_s:.2f}", delay, cores]


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.whisper.sizes", description=__doc__
    )
    parser.add_argument("sizes", nargs="*", default=[*SIZES], metavar="SIZE", help=" ".join(SIZES))
    given = parser.parse_args()
    if unknown := [name for name in given.sizes if name not in SIZES]:
        parser.error(f"{unknown[0]} is no size: {' '.join(SIZES)}")
    with report_section("Sizes of Whisper", "ctranslate2", "transformers"):
        print(table(HEAD, [measure(name) for name in given.sizes]), flush=True)


if __name__ == "__main__":
    main()
