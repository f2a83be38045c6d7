"""Times NeMo's own decode, run by the Python of an environment with nemo_toolkit."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from nemo.collections.tts.models import AudioCodecModel


def main(archive: str, device: str, threads: str, out: str, *frames: str) -> None:
    """The command line."""
    torch.set_num_threads(int(threads))
    model = AudioCodecModel.restore_from(archive, map_location=device).eval()
    times: dict[str, list[float]] = {count: [] for count in frames}
    with torch.inference_mode():
        for number in range(6):
            for count in frames:
                codes = torch.randint(0, model.codebook_size, (1, model.num_codebooks, int(count)))
                codes, lengths = codes.to(device), torch.tensor([int(count)], device=device)
                begun = time.perf_counter()
                samples, _ = model.decode(tokens=codes, tokens_len=lengths)
                samples.cpu()
                if number:
                    times[count].append(time.perf_counter() - begun)
    found = {count: statistics.median(measured) for count, measured in times.items()}
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
