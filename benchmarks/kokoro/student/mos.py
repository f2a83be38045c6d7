"""DNSMOS P.835 of recordings, by the python of an environment that has speechmos.

``python -P mos.py RECORDINGS.npz OUT.json``: float32 arrays at 16 kHz in, {name: overall} out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from speechmos import dnsmos

SAMPLE_RATE = 16_000


def main(recordings: str, out: str) -> None:
    """Run the command line."""
    with np.load(recordings) as arrays:
        found = {
            name: float(dnsmos.run(np.clip(arrays[name], -1, 1), SAMPLE_RATE)["ovrl_mos"])
            for name in arrays.files
        }
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
