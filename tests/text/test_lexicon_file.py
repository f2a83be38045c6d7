"""The server's lexicon: its file, its languages, and what happens when it changes."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kani_text import lexicon_file
from kani_text.lexicon import LexiconEntry
from kani_text.lexicon_file import MAX_BYTES, MAX_ENTRIES, LexiconFile

EXAMPLE = """\ufeff# how we say our own names
SQL = sequel
Nguyen\t/wɪn/   # not as it is written
GIF = yif /ˈd͡ʒɪf/

[es]
SQL = ese cu ele
[es-MX]
computadora = compu
[ * ]
C# = ce sharp
[french]
tu = toi
"""


@pytest.fixture(autouse=True)
def always_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon_file, "CHECK_INTERVAL_S", 0.0)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(content: str | bytes, encoding: str = "utf-8") -> Path:
        path = tmp_path / "words.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return written


async def loaded(path: Path) -> LexiconFile:
    lexicon = LexiconFile(path)
    await lexicon.refresh()
    return lexicon


def how(lexicon: LexiconFile, tag: str, word: str) -> str | None:
    """The entry of a word in a language, as it is written."""
    match = lexicon.for_language(tag).match(word, 0)
    if match is None:
        return None
    entry = match[1]
    return " ".join(filter(None, (entry.spelling, entry.ipa and f"/{entry.ipa}/")))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_file_has_entries_for_all_and_for_languages(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """A language's own entry comes before that of all, a region's before that of its language."""
    lexicon = await loaded(write(EXAMPLE))
    assert warnings(caplog) == []
    assert how(lexicon, "en", "SQL") == "sequel"
    assert how(lexicon, "es", "SQL") == how(lexicon, "es-MX", "SQL") == "ese cu ele"
    assert how(lexicon, "de", "Nguyen") == "/wɪn/"
    assert how(lexicon, "en", "GIF") == "yif /ˈd͡ʒɪf/"
    assert how(lexicon, "es-MX", "Computadora") == "compu"
    assert how(lexicon, "es-ES", "computadora") is None
    assert how(lexicon, "en-GB", "C#") == "ce sharp"
    assert how(lexicon, "fr-CA", "tu") == "toi" and how(lexicon, "es", "tu") is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_files_of_windows_are_read(
    encoding: str, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    lexicon = await loaded(write("Ñandú = ñan dú\r\nSQL = sequel\r\n", encoding))
    assert warnings(caplog) == []
    assert how(lexicon, "es", "Ñandú") == "ñan dú"
    assert how(lexicon, "en", "SQL") == "sequel"


@pytest.mark.parametrize("text", ["", "# SQL = sequel\n", "[es]\n"])
async def test_file_without_an_entry_is_warned_of(
    text: str, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(text)
    await loaded(path)
    assert warnings(caplog) == [f"lexicon: loaded 0 entries from {path}"]


async def test_bad_lines_are_logged_and_skipped(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    lines = (
        "SQL = sequel|nothing here|a = /s1/|\xff = x|[klingonese]|unheard = x|[es]|= x|b =|b = uno\r|b = dos|"
    )
    lexicon = await loaded(write((lines.replace("|", "\n") + "x" * 101 + " = x").encode("latin-1")))
    logged = [message.removeprefix("lexicon: words.txt, line ") for message in warnings(caplog)]
    assert logged == [
        "2: has neither a tab nor = between a word and its pronunciation",
        "3: has IPA that has '1', which is no symbol of the IPA",
        "4: is not UTF-8",
        "5: unknown language 'klingonese'; the entries below it are ignored",
        "8: has no word",
        "9: has no pronunciation",
        "11: repeats 'b'; this line applies",
        "12: has a word that is too long (at most 100 characters)",
    ]
    assert how(lexicon, "es", "SQL") == "sequel"
    assert how(lexicon, "es", "b") == "dos"
    assert how(lexicon, "en", "b") is None and how(lexicon, "en", "unheard") is None


async def test_change_is_loaded_and_unreadable_file_changes_nothing(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    lexicon = await loaded(write("SQL = sequel"))
    held = lexicon.for_language("en")
    write("SQL = my sequel")
    await lexicon.refresh()
    assert how(lexicon, "en", "SQL") == "my sequel"
    assert held.match("SQL", 0) == (3, LexiconEntry("sequel")), "a text under way keeps its words"
    write("").unlink()
    await lexicon.refresh()
    await lexicon.refresh()
    assert how(lexicon, "en", "SQL") == "my sequel"
    assert len(warnings(caplog)) == 1 and "the entries stay as they are" in warnings(caplog)[0]
    write("SQL = again")
    await lexicon.refresh()
    assert how(lexicon, "en", "SQL") == "again"


async def test_large_file_counts_as_unreadable(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    lexicon = await loaded(write("SQL = sequel"))
    write(b"#" * (MAX_BYTES + 1))
    await lexicon.refresh()
    assert how(lexicon, "en", "SQL") == "sequel"
    assert f"longer than {MAX_BYTES} bytes" in warnings(caplog)[0]


async def test_folder_has_a_file_for_each_language(tmp_path: Path) -> None:
    (tmp_path / "es.txt").write_text("web = güeb\n[*]\nwifi = uifi")
    (tmp_path / "names.txt").write_text("SQL = sequel")
    (tmp_path / "notes.md").write_text("SQL = not this")
    lexicon = await loaded(tmp_path)
    assert how(lexicon, "es", "web") == "güeb" and how(lexicon, "en", "web") is None
    assert how(lexicon, "en", "wifi") == "uifi" and how(lexicon, "en", "SQL") == "sequel"
    (tmp_path / "pt-BR.txt").write_text("web = uébi")
    await lexicon.refresh()
    assert how(lexicon, "pt-BR", "web") == "uébi" and how(lexicon, "pt", "web") is None


async def test_log_of_entries_beyond_the_limit_is_short(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    lexicon = await loaded(write("\n".join(f"w{number} = x" for number in range(MAX_ENTRIES + 500))))
    assert how(lexicon, "en", f"w{MAX_ENTRIES - 1}") == "x"
    assert how(lexicon, "en", f"w{MAX_ENTRIES}") is None
    logged = warnings(caplog)
    assert len(logged) == 21
    assert f"line {MAX_ENTRIES + 1}: exceeds the limit of {MAX_ENTRIES} entries" in logged[0]
    assert logged[-1] == "lexicon: 480 more such problems"


async def test_concurrent_sessions_check_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon_file, "CHECK_INTERVAL_S", 60.0)
    lexicon = LexiconFile(file := write("SQL = sequel"))
    await asyncio.gather(*(lexicon.refresh() for _ in range(50)))
    assert how(lexicon, "en", "SQL") == "sequel"
    write("SQL = another")
    os.utime(file, ns=(1, 1))
    await lexicon.refresh()
    assert how(lexicon, "en", "SQL") == "sequel", "the minute is not over"


async def test_example_of_the_docs_is_valid(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    page = Path(__file__).parents[2] / "docs" / "lexicon.md"
    section = page.read_text(encoding="utf-8").split("\n## The file\n")[1]
    lexicon = await loaded(write(section.split("```")[1].lstrip("\n")))
    assert warnings(caplog) == []
    assert how(lexicon, "es", "SQL") == "ese cu ele" and how(lexicon, "en", "SQL") == "sequel"
    assert how(lexicon, "es-MX", "Celular") == "/seluˈlaɾ/"
    assert how(lexicon, "es", "los EE. UU.") == "los estados unidos"
    assert how(lexicon, "fr", "C++") == "C plus plus"
    assert how(lexicon, "pt", "Xiaomi") == "shaumi /ˈʃaʊmi/"
