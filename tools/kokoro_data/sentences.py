"""Sentences by language (BCP 47) for recording the voices' statistics; none of them evaluates these."""

from __future__ import annotations

from pathlib import Path

from tools.texts import by_language

SENTENCES = by_language(Path(__file__).with_name("sentences.txt"))
LATER_SENTENCES = by_language(Path(__file__).with_name("later_sentences.txt"))
"""Those of the voices that came later."""
ACCENTED = by_language(Path(__file__).with_name("accented.txt"))
"""Those of languages that Kokoro speaks with an accent."""
