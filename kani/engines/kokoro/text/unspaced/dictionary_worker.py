"""Process that holds a language's dictionary; ``kani.engines.kokoro.text.unspaced.dictionary`` starts it.

A text is answered by, in Chinese (a run of characters), the words as (start, end) and the characters'
syllables; in Japanese, the morphemes as (start, end, written, kana, kind).
"""

import pickle
import sys
from collections.abc import Callable
from typing import Any

from kani.runtime.pickling_process import READY, answering, send

MISSING = {"zh": "install pypinyin and rjieba", "ja": "install haqumei, with 103 MB free in KANI_CACHE_DIR"}


def main(language: str) -> None:
    """Answer requests until standard input ends."""
    requests, answers = answering()
    try:
        read = _load(language)
    except BaseException as error:
        # A panic of Rust is no Exception.
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        send(answers, "failed", MISSING[language])
        return
    send(answers, READY, None)
    try:
        while True:
            texts = pickle.load(requests)  # noqa: S301 - the parent writes it
            send(answers, "end", [read(text) for text in texts])
    except (EOFError, BrokenPipeError):
        return


def _load(language: str) -> Callable[[str], Any]:
    """Load the dictionary. Raises ImportError, and PanicException where haqumei cannot be unpacked."""
    if language == "zh":
        from kani.engines.kokoro.text.unspaced.chinese_readings import ChineseReadings

        return ChineseReadings().read
    from kani.engines.kokoro.text.unspaced.japanese_readings import JapaneseReadings

    return JapaneseReadings().read


if __name__ == "__main__":
    main(sys.argv[1])
