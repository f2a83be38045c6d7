"""The IPA as a lexicon writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.text.phonetics import MAX_LENGTH, STRESS_MARKS, canonicalize, is_nucleus, split_sounds


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
    assert [is_nucleus(sound) for sound in ("a", "ɪː", "n̩", "i̯", "j", "t")] == [True, True, True] + 3 * [
        False
    ]
