"""Words and how they are said: what is found in a text, what is refused, and the IPA of an entry."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.errors import InvalidRequest
from kani.core.types import Pronunciation
from kani_text.lexicon import (
    MAX_REQUEST_ENTRIES,
    MAX_UNITS,
    Lexicon,
    LexiconEntry,
    LexiconTable,
    parse_entry,
    validate_word,
)
from kani_text.normalizer import NormalizerOptions, normalize
from kani_text.phonetics import MAX_LENGTH, STRESS_MARKS, canonicalize, is_nucleus, split_sounds


def words(**entries: str) -> Lexicon:
    """A request's words; "_" in a name is a space."""
    return Lexicon().with_request({name.replace("_", " "): how for name, how in entries.items()})


def found(lexicon: Lexicon, text: str) -> dict[str, str | None]:
    """All that is found in ``text`` from left to right, and the spelling of each."""
    result, at = {}, 0
    while at < len(text):
        match = lexicon.match(text, at)
        if match is not None:
            result[text[at : match[0]]] = match[1].spelling
        at = match[0] if match is not None else at + 1
    return result


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SQL", ["SQL"]), ("sql xSQL SQLs SQL2 Sql", []), ("(SQL), SQL's", ["SQL"]),
        ("l'SQL-server", ["SQL"]), ("S\ue000QL", ["S\ue000QL"]), ("S\u00adQL\u200d!", ["S\u00adQL"]),
        ("x\ue000SQL SQL\ue000x", []), ("linux LINUX Linux", ["linux", "LINUX", "Linux"]),
        ("GnuLinux linuxes", []),
    ],
)  # fmt: skip
def test_entry_matches_whole_words(text: str, names: list[str]) -> None:
    """One with capitals is found as it is, one without in any case; masks and joiners do not count."""
    assert list(found(words(SQL="sequel", linux="línux"), text)) == names


@pytest.mark.parametrize("text", ["Los Ángeles", "los  ángeles", "LOS\n\tÁNGELES", "Los A\u0301ngeles"])
def test_entry_of_several_words_matches_any_white_space(text: str) -> None:
    lexicon = words(los_ángeles="eley", los="l")
    assert found(lexicon, text) == {text: "eley"}
    assert lexicon.max_words == 2
    assert list(found(lexicon, "los\u2029ángeles")) == ["los"], "a paragraph ends the words of an entry"
    assert list(found(lexicon, "los ángele")) == ["los"]


def test_entry_may_have_marks() -> None:
    lexicon = Lexicon().with_request({"C": "ce", "C++": "ce más más", "Dr.": "doctora", ".NET": "dot net"})
    text = "C, C++, Dr. Ruiz, Dr Ruiz y .NET"
    assert list(found(lexicon, text)) == ["C", "C++", "Dr.", ".NET"]


def test_exact_case_comes_before_any_case() -> None:
    assert found(words(us="nosotros", US="estados unidos"), "us US Us") == {
        "us": "nosotros",
        "US": "estados unidos",
        "Us": "nosotros",
    }


def test_entries_of_the_request_come_first() -> None:
    """They win over longer ones of the server; of the server's the longest, then the first table's."""
    first, second = LexiconTable(), LexiconTable()
    first.add("a", LexiconEntry("first"))
    second.add("a", LexiconEntry("second"))
    second.add("a b", LexiconEntry("longer"))
    server = Lexicon((first, second))
    assert found(server, "a c, a b") == {"a": "first", "a b": "longer"}
    assert found(server.with_request({"a": "own"}), "a b") == {"a": "own"}
    assert server.with_request({}) is server
    assert (Lexicon().max_words, server.max_words, server.with_request({"x y z": "w"}).max_words) == (0, 2, 3)


@pytest.mark.parametrize(
    ("how", "entry"),
    [
        ("sequel", LexiconEntry("sequel")),
        ("  se   quel ", LexiconEntry("se quel")),
        ("/ˈsiːkwəl/", LexiconEntry(None, "ˈsiːkwəl")),
        ("sequel /ˈsiːkwəl/", LexiconEntry("sequel", "ˈsiːkwəl")),
        ("sequel/ si /", LexiconEntry("sequel", "si")),
        ("e\u0301l", LexiconEntry("él")),
    ],
)
def test_entry_is_spelling_or_ipa_or_both(how: str, entry: LexiconEntry) -> None:
    assert parse_entry(how) == entry


@pytest.mark.parametrize(
    ("word", "how", "reason"),
    [
        ("", "x", "has no word"),
        (" \u200d ", "x", "has no word"),
        ("a" * 101, "x", "has a word that is too long (at most 100 characters)"),
        (" ".join("a" * 13), "x", f"too many parts (at most {MAX_UNITS} words, spaces and marks)"),
        ("a\x00", "x", "the character U+0000, which is no text"),
        ("a\ud800", "x", "the character U+D800, which is no text"),
        ("a\ue000", "x", "the character U+E000, which is no text"),
        ("a", "", "has no pronunciation"),
        ("a", "…", "a spelling without a letter"),
        ("a", "x" * 201, "has a pronunciation that is too long (at most 200 characters)"),
        ("a", "/si", "IPA that does not stand between two slashes at its end"),
        ("a", "/si/ y", "IPA that does not stand between two slashes at its end"),
        ("a", "//", "has IPA that has no sound"),
        ("a", "/s1/", "has IPA that has '1', which is no symbol of the IPA"),
        (
            "重",
            "/zhong4 gou/",
            "has pinyin that has 'gou' without a tone from 1 to 5 (5 is the neutral tone)",
        ),
        ("重", "/zhogn4/", "has pinyin that has 'zhogn', which is no syllable (as in \"zhong4 guo2\")"),
        ("重", "/zhong6/", "has pinyin that has 'zhong6' without a tone from 1 to 5 (5 is the neutral tone)"),
        ("長", "おさ /ちょう/", "has a spelling and kana, which are a spelling too"),
    ],
)
def test_invalid_entry_is_named(word: str, how: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Lexicon().with_request({"good": "bueno", word: how})
    assert refused.value.field == "lexicon"
    assert refused.value.reason.startswith(f"entry 2 ({word[:40]!r}) ")
    assert refused.value.reason.endswith(reason)


def test_request_has_two_hundred_entries_at_most() -> None:
    entries = {f"palabra{number}": "x" for number in range(MAX_REQUEST_ENTRIES)}
    assert Lexicon().with_request(entries).match("PALABRA199", 0) == (10, LexiconEntry("x"))
    with pytest.raises(InvalidRequest, match="lexicon: too many entries \\(at most 200\\)"):
        Lexicon().with_request(entries | {"y": "x"})


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("the Los", True), ("the los ", True), ("Los\ue000", True), ("Los  Ángeles", True), ("C", True),
        ("C+", True), ("Los An", False), ("Los Ángeles de", False), ("C++", False), ("SQL", False),
        ("xLos", False),
    ],
)  # fmt: skip
def test_growing_text_may_continue_an_entry(text: str, waits: bool) -> None:
    lexicon = Lexicon().with_request({"los ángeles del infierno": "x", "C++": "y", "SQL": "z"})
    assert any(lexicon.may_continue(text, at) for at in range(len(text))) == waits


@given(
    st.lists(
        st.text(st.sampled_from("aAé\u0301 .'-\ue000\u200db\u2029"), min_size=1, max_size=6), max_size=4
    ),
    st.text(st.sampled_from("aAé\u0301 .'-\ue000\u200db\u2029\ud800"), max_size=40),
)
def test_match_is_always_whole_words(names: list[str], text: str) -> None:
    table = LexiconTable()
    for name in names:
        try:
            table.add(validate_word(name), LexiconEntry("x"))
        except ValueError:
            continue
    lexicon = Lexicon((table,))
    plain = re.sub("[\ue000\u200d]", "", text)
    for at in range(len(text) + 1):
        match = lexicon.match(text, at)
        if match is None:
            continue
        end, _ = match
        assert at < end <= len(text)
        before = re.sub("[\ue000\u200d]", "", text[:at])[-1:]
        after = plain[len(re.sub("[\ue000\u200d]", "", text[:end])) :][:1]
        letters = "aAéb\u0301"
        assert not (before and before in letters and text[at] in letters)
        last = re.sub("[\ue000\u200d]", "", text[at:end])[-1]
        assert not (after and after in letters and last in letters)


@pytest.mark.parametrize("language", ["", "es", "en"])
def test_spelling_is_not_looked_up_again(language: str) -> None:
    reading = NormalizerOptions(language, Lexicon().with_request({"a": "b", "b": "a", "c": "c c"}))
    assert normalize("a b c", options=reading).text == "b a c c"


def test_ipa_needs_an_engine_that_accepts_it() -> None:
    lexicon = Lexicon().with_request({"GIF": "yif /ˈxif/", "Nguyen": "/wɪn/"})
    text = "El GIF de Nguyen."
    spelled = normalize(text, options=NormalizerOptions("es", lexicon))
    assert (spelled.text, spelled.pronunciations) == ("El yif de Nguyen.", ())
    pronounced = normalize(text, options=NormalizerOptions("es", lexicon, accepts_ipa=True))
    assert [(pronounced.text[one.start : one.end], one.ipa) for one in pronounced.pronunciations] == [
        ("GIF", "ˈxif"),
        ("Nguyen", "wɪn"),
    ]
    assert [pronounced.origin(one.start, one.end) for one in pronounced.pronunciations] == [(3, 6), (10, 16)]


@pytest.mark.parametrize(
    ("pronunciation", "entry"),
    [
        ("/chong2 qing4/", LexiconEntry(pinyin="chong2 qing4")),
        ("/Lv4se4/", LexiconEntry(pinyin="lü4 se4")),
        ("虫 /nu:3 er5/", LexiconEntry("虫", pinyin="nü3 er5")),
        ("/ちょうなん/", LexiconEntry("チョーナン")),
        ("/サン フランシスコ/", LexiconEntry("サン フランシスコ")),
    ],
)
def test_pinyin_and_kana_stand_between_slashes(pronunciation: str, entry: LexiconEntry) -> None:
    assert parse_entry(pronunciation) == entry


def test_entries_match_inside_text_without_spaces() -> None:
    """Every Han character is a word; katakana words are whole runs."""
    lexicon = Lexicon().with_request({"重庆": "/chong2 qing4/", "アリ": "蟻", "長男": "/ちょうなん/"})
    chinese = normalize("我住在重庆市", 3, NormalizerOptions("zh-CN", lexicon, accepts_ipa=True))
    assert chinese.text == "我住在重庆市"
    (pronounced,) = chinese.pronunciations
    assert pronounced == Pronunciation(3, 5, "chong2 qing4", "pinyin")
    assert chinese.origin(pronounced.start, pronounced.end) == (6, 8)
    for options in (NormalizerOptions("es", lexicon, accepts_ipa=True), NormalizerOptions("zh", lexicon)):
        assert normalize("重庆", 0, options).pronunciations == ()
    japanese = normalize("アリスの長男はアリだ", 0, NormalizerOptions("ja", lexicon, accepts_ipa=True))
    assert japanese.text == "アリスのチョーナンは蟻だ"
    assert japanese.origin(4, 9) == (4, 6)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("ˈsiːkwəl", "ˈsiːkwəl"), ("'si:kw@l".replace("@", "ə"), "ˈsiːkwəl"), ("ʧa ʤa", "t͡ʃa d͡ʒa"),
        ("t͜sa", "t͡sa"), ("  diː   ɡruː ", "diː ɡruː"),
        ("français".replace("r", "ʁ").replace("a", "ɑ"), "fʁɑnçɑis"), ("\u00e3", "a\u0303"), ("ga", "ɡa"),
    ],
)  # fmt: skip
def test_ipa_has_one_canonical_form(written: str, kept: str) -> None:
    assert canonicalize(written) == kept


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "has no sound"), ("˥˦", "has no sound"), ("aˈ", "stress mark 'ˈ' before no sound"),
        ("ˈˈa", "stress mark 'ˈ' before no sound"), ("ˈ a", "stress mark 'ˈ' before no sound"),
        ("hola1", "'1', which is no symbol of the IPA"), ("SQL", "'S', which is no symbol of the IPA"),
        ("kɑː(ɹ)", "'\\(', which is no symbol of the IPA"), ("t\u0361", "a tie that ties nothing"),
        ("\u0303a", r"a mark after no sound \(combining tilde\)"), ("a ːb", "a mark after no sound"),
        ("a" * (MAX_LENGTH + 1), f"too long \\(at most {MAX_LENGTH} characters\\)"),
        ("a\ud800", "which is no symbol of the IPA"),
    ],
)  # fmt: skip
def test_invalid_ipa_is_named(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonicalize(written)


@pytest.mark.parametrize(
    ("ipa", "sounds"),
    [
        ("ˈsiːkwəl", ["s", "ˈ", "iː", "k", "w", "ə", "l"]),
        ("t͡ʃi.kaˈɡo", ["t͡ʃ", "i", "k", "a", "ɡ", "ˈ", "o"]), ("ˈkwiːn‿ə", ["k", "w", "ˈ", "iː", "n", "ə"]),
        ("ˈbi̯en", ["b", "i̯", "ˈ", "e", "n"]), ("ˈpst", ["ˈ", "p", "s", "t"]),
        ("ˈbʌtn̩", ["b", "ˈ", "ʌ", "t", "n̩"]), ("ˈpst ˌa", ["ˈ", "p", "s", "t", " ", "ˌ", "a"]),
        ("a˥|b", ["a", " ", "b"]),
    ],
)  # fmt: skip
def test_stress_moves_before_its_nucleus(ipa: str, sounds: list[str]) -> None:
    assert split_sounds(ipa) == sounds


@given(st.text("ˈˌabtʃ͡ːˑ̯̩̃ɪ .‿˥sw|", max_size=60))
def test_sounds_keep_all_letters(text: str) -> None:
    try:
        ipa = canonicalize(text)
    except ValueError:
        return
    sounds = split_sounds(ipa)
    assert sorted("".join(sounds)) == sorted(ipa.replace("|", " ").translate(dict.fromkeys(map(ord, ".‿˥"))))
    spoken = [sound for sound in sounds if sound not in STRESS_MARKS and sound != " "]
    assert spoken and all(sound[0] in "abtʃɪsw" for sound in spoken)
    assert all(sounds[at + 1] in spoken for at, sound in enumerate(sounds) if sound in STRESS_MARKS)


def test_nuclei_are_vowels_and_syllabic_consonants() -> None:
    assert list(filter(is_nucleus, ("a", "ɪː", "n̩", "i̯", "j", "t"))) == ["a", "ɪː", "n̩"]
