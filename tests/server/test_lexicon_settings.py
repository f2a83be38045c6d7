"""The server's lexicon, from its setting to what is said, and its settings about what is read."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from tests.conftest import ServerProcess, StartServer

WITHIN_S = 300.0


def said(server: ServerProcess, text: str) -> str:
    """What the server says of ``text``, as ElevenLabs' protocol tells it."""
    answer = httpx.post(
        f"{server.http_url}/v1/text-to-speech/default/with-timestamps",
        json={"text": text, "language_code": "es"},
        params={"output_format": "pcm_8000"},
        timeout=WITHIN_S,
    )
    answer.raise_for_status()
    return "".join(answer.json()["normalized_alignment"]["characters"])


def test_the_lexicon_is_read_anew_when_it_changes(start_server: StartServer, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("[es]\nSQL = sícuel\nkein Eintrag\nWi-Fi = güifi\n", encoding="utf-8")
    server = start_server("--engine", "espeak", KANI_LEXICON=str(file))
    assert said(server, "Usa SQL por Wi-Fi.") == "Usa sícuel por güifi."
    log = server.log_file.read_text(encoding="utf-8")
    assert "words.txt, line 3" in log
    file.write_text("[es]\nSQL = ese cu ele\n", encoding="utf-8")
    until = time.monotonic() + WITHIN_S
    while (now := said(server, "Usa SQL.")) != "Usa ese cu ele.":
        assert time.monotonic() < until, now


def test_code_is_passed_over_where_that_is_set(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_CODE_BLOCKS="skip")
    assert said(server, "Mira:\n```\nx = 1\n```\nFin.").split() == ["Mira:", "Fin."]
