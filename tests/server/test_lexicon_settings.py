"""The settings of the lexicon and of blocks of code, from the setting to the spoken form."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.support.app_server import AppServer, app_server
from tests.support.patience import WITHIN_S


def spoken_form(server: AppServer, text: str) -> str:
    """The spoken form of ``text``, from ElevenLabs' protocol."""
    answer = httpx.post(
        f"{server.http_url}/v1/text-to-speech/default/with-timestamps",
        json={"text": text, "language_code": "es"},
        params={"output_format": "pcm_8000"},
    )
    answer.raise_for_status()
    return "".join(answer.json()["normalized_alignment"]["characters"])


def test_lexicon_and_code_blocks_follow_their_settings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A changed lexicon is reloaded; an invalid line is logged, and the others count."""
    file = tmp_path / "words.txt"
    file.write_text("[es]\nSQL = sícuel\nkein Eintrag\nWi-Fi = güifi\n", encoding="utf-8")
    with app_server(tmp_path, KANI_LEXICON=str(file), KANI_CODE_BLOCKS="skip") as server:
        assert spoken_form(server, "Usa SQL por Wi-Fi.") == "Usa sícuel por güifi."
        assert spoken_form(server, "Mira:\n```\nx = 1\n```\nFin.").split() == ["Mira:", "Fin."]
        assert "words.txt, line 3" in caplog.text
        file.write_text("[es]\nSQL = ese cu ele\n", encoding="utf-8")
        until = time.monotonic() + WITHIN_S
        while (now := spoken_form(server, "Usa SQL.")) != "Usa ese cu ele.":
            assert time.monotonic() < until, now
