"""Converts text to utterances: the model's symbols, and the word that each symbol belongs to.

espeak-ng phonemizes a clause at a time (word by word, liaison and weak forms would be lost); the punctuation
in Kokoro's vocabulary is put back between clauses. For a word with IPA from a lexicon espeak-ng gets a
placeholder with similar first and last sounds, so that its neighbours are pronounced correctly.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kani.core.types import Pronunciation
from kani.engines.kokoro.text.espeak_ipa import Phonemizer
from kani.engines.kokoro.text.marks import CLOSING, MARK, OPENING, add_mark, is_mark, pauses_s
from kani.engines.kokoro.text.reader import ReadWord, ScriptReader, TextReader
from kani.engines.kokoro.text.symbol_words import assign_symbols, has_group_for_each_word

MAX_UTTERANCE_SYMBOLS = 250
"""Longest utterance in symbols, some 15 s of speech: half of the model's maximum, since its memory grows by
25 MB for each second of an utterance, and it speaks long ones too fast."""


@dataclass(frozen=True, slots=True)
class Word:
    """Characters ``[start, end)`` of the text, which are pronounced as symbols ``[first, stop)``."""

    start: int
    end: int
    first: int
    stop: int
    characters: tuple[int, ...] = ()  # the first symbol of each character, where it is known
    pause_s: float = 0.0  # silence after it at speed 1, at least
    rises: bool = False  # whether the voice rises on it, as at the end of a question


@dataclass(frozen=True, slots=True)
class Utterance:
    """Input of one run of the model: 1 to ``MAX_UTTERANCE_SYMBOLS`` symbols, and the words in order."""

    symbols: str
    words: tuple[Word, ...]
    seam: bool = False  # whether words in another language follow at once


# espeak-ng truncates a word beyond some 40 digits or 150 letters, and a clause beyond 1,000 phonemes; a
# spelt letter has up to eight.
_LONGEST_CLAUSE = 120
# The word that espeak-ng pronounces as the letter's name.
_LETTER_A = "eh"
_WORD = re.compile(r"\d{1,20}(?=\d{20})|\S{1,40}")


@dataclass(frozen=True, slots=True)
class _Part:
    """A word and its symbols, as they are added to an utterance."""

    read: ReadWord
    apart: bool  # whether a space precedes it


@dataclass(frozen=True, slots=True)
class _Token:
    """Characters ``[start, end)`` that espeak-ng gets as one word."""

    start: int
    end: int
    written: str  # the word or placeholder that espeak-ng gets
    joined: bool  # whether no white space precedes it
    given: tuple[ReadWord, ...] = ()  # pronunciation: its words


def split_utterances(
    text: str, reader: TextReader, *, ending: str = "", pronunciations: Sequence[Pronunciation] = ()
) -> list[Utterance]:
    """Convert ``text`` to utterances; none if nothing in it is pronounceable.

    ending: mark that closes the text if it has none of its own; pronunciations: parts of the text with their
    IPA, in order and disjoint. A text of more than ``MAX_UTTERANCE_SYMBOLS`` symbols becomes several
    utterances of similar length, cut at a mark, else between words, else inside an overlong word.
    """
    symbols: list[str] = []
    words: list[Word] = []
    if isinstance(reader, Phonemizer):
        read = _read_by_espeak(text, reader, pronunciations)
    else:
        read = _read_script(text, reader, pronunciations)
    for mark, start, parts in read:
        if mark:
            add_mark(symbols, mark, spaced=start > 0 and text[start - 1].isspace())
        _add_words(symbols, words, parts)
    while symbols and (symbols[-1] == " " or symbols[-1] in OPENING):
        symbols.pop()
    if not words:
        return []
    if ending and symbols[-1] not in CLOSING:
        symbols.append(ending)
    language = reader.voice[:2] if isinstance(reader, Phonemizer) else ""
    return list(_split("".join(symbols), _with_pauses(words, text, symbols, language)))


def _with_pauses(words: Sequence[Word], text: str, symbols: Sequence[str], language: str) -> list[Word]:
    """Return the words with their pauses. A dash without spaces is a compound's: "Paris–Lyon"."""
    ends = [(word.start, word.first) for word in words[1:]] + [(len(text), len(symbols))]
    marks = [
        "" if text[word.end : start] == "–" else "".join(symbols[word.stop : first])
        for word, (start, first) in zip(words, ends, strict=True)
    ]
    found = pauses_s([text[word.start : word.end] for word in words], marks, language)
    return [replace(word, pause_s=pause_s) for word, pause_s in zip(words, found, strict=True)]


def _read_by_espeak(
    text: str, phonemizer: Phonemizer, pronunciations: Sequence[Pronunciation]
) -> Iterator[tuple[str, int, list[_Part]]]:
    """Yield marks, as (mark, start, []), and the words of the clauses between them, as ("", start, parts)."""
    pronounced = [
        _Token(one.start, one.end, phonemizer.placeholder(one.ipa), _is_joined(text, one.start), given)
        for one in pronunciations
        if (given := _words_with_symbols(text, one, phonemizer.symbols_of_ipa(one.ipa)))
    ]
    english = phonemizer.voice.startswith("en")
    pieces = []
    for mark, start, end in _pieces(text, pronounced):
        tokens = [] if mark else list(_tokens(text, start, end, pronounced))
        if english:
            tokens = [
                replace(token, written=_LETTER_A) if _is_letter_a(tokens, at) else token
                for at, token in enumerate(tokens)
            ]
        pieces.append((mark, start, list(_clauses(tokens))))
    phonemized = _phonemized([clause for *_, clauses in pieces for clause in clauses], phonemizer)
    for mark, start, clauses in pieces:
        if mark:
            yield mark, start, []
        for clause in clauses:
            yield "", clause[0].start, list(_parts(clause, next(phonemized)))


def _read_script(
    text: str, reader: ScriptReader, pronunciations: Sequence[Pronunciation]
) -> Iterator[tuple[str, int, list[_Part]]]:
    """Yield the same as ``_read_by_espeak`` for a script without spaces."""
    pronounced = [
        _Token(one.start, one.end, "", False, given)
        for one in pronunciations
        if (given := tuple(reader.pronounced(one)))
    ]
    for mark, start, end in _pieces(text, pronounced):
        read: list[ReadWord] = []
        if not mark:
            at = start
            for token in [token for token in pronounced if start <= token.start < end]:
                read += _shifted(reader.read(text[at : token.start]), at)
                read += token.given
                at = token.end
            read += _shifted(reader.read(text[at:end]), at)
        yield mark, start, [_Part(word, apart=True) for word in read]


def _shifted(words: Sequence[ReadWord], by: int) -> list[ReadWord]:
    return [replace(word, start=word.start + by, end=word.end + by) for word in words]


def _words_with_symbols(text: str, one: Pronunciation, symbols: str) -> tuple[ReadWord, ...]:
    """Symbols for each word of a pronunciation if the numbers agree; else all of them as one word."""
    if not symbols:
        return ()
    written = [match.span() for match in _WORD.finditer(text, one.start, one.end)]
    groups = symbols.split(" ")
    if len(written) != len(groups):
        return (ReadWord(one.start, one.end, symbols),)
    return tuple(ReadWord(*span, group) for span, group in zip(written, groups, strict=True))


def _pieces(text: str, pronounced: Sequence[_Token]) -> Iterator[tuple[str, int, int]]:
    """Yield marks and the clauses between them as (mark or "", start, end)."""
    at = 0
    edges = [0, *(edge for token in pronounced for edge in (token.start, token.end)), len(text)]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        # Text with a given pronunciation contains no marks.
        for match in MARK.finditer(text, first, last):
            if not is_mark(text, match.start(), match.end()):
                continue
            if text[at : match.start()].strip():
                yield "", at, match.start()
            yield match[0], match.start(), match.end()
            at = match.end()
    if text[at:].strip():
        yield "", at, len(text)


def _tokens(text: str, start: int, end: int, pronounced: Sequence[_Token]) -> Iterator[_Token]:
    """Yield the tokens of a clause in order."""
    for token in pronounced:
        if start <= token.start < end:
            yield from _written(text, start, token.start)
            yield token
            start = token.end
    yield from _written(text, start, end)


def _written(text: str, start: int, end: int) -> Iterator[_Token]:
    for match in _WORD.finditer(text, start, end):
        yield _Token(*match.span(), match[0], _is_joined(text, match.start()))


def _is_joined(text: str, start: int) -> bool:
    return start > 0 and not text[start - 1].isspace()


def _clauses(found: Sequence[_Token]) -> Iterator[Sequence[_Token]]:
    """Cut a clause's tokens into runs of at most ``_LONGEST_CLAUSE`` characters, of one token at least."""
    while found:
        first = found[0].start
        count = next(
            (at for at, token in enumerate(found) if token.end - first > _LONGEST_CLAUSE), len(found)
        )
        count = max(count, 1)
        yield found[:count]
        found = found[count:]


def _phonemized(clauses: Sequence[Sequence[_Token]], phonemizer: Phonemizer) -> Iterator[list[str]]:
    """Yield for each clause the symbols of its tokens, with the spaces before and inside them.

    espeak-ng is asked twice at most, however many clauses there are: for all clauses, and for single words
    where their own symbols are needed.
    """
    spoken = phonemizer(
        [
            "".join(" " * _is_apart(found, at) + token.written for at, token in enumerate(found)).strip()
            for found in clauses
        ]
    )
    written = [[token.written for token in found] for found in clauses]
    unclear = [
        bool(symbols) and not has_group_for_each_word(symbols, words)
        for symbols, words in zip(spoken, written, strict=True)
    ]
    alone = phonemizer.phonemize_words(
        [word for is_unclear, words in zip(unclear, written, strict=True) if is_unclear for word in words]
    )
    for symbols, words, is_unclear in zip(spoken, written, unclear, strict=True):
        yield _by_token(symbols, words, [alone[word] for word in words] if is_unclear else ())


def _parts(found: Sequence[_Token], own: Sequence[str]) -> Iterator[_Part]:
    """Yield the words of a clause; own: the symbols of each of its tokens."""
    spaces = [_is_apart(found, at) for at in range(len(found))]
    for at, token in enumerate(found):
        # The IPA stays separate even if espeak-ng joins a placeholder to its neighbour.
        beside = token.given or (at > 0 and found[at - 1].given)
        apart = own[at].startswith(" ") or bool(beside and spaces[at])
        for word in token.given or (ReadWord(token.start, token.end, own[at].strip()),):
            if word.symbols:
                yield _Part(word, apart)
                apart = True


def _add_words(symbols: list[str], words: list[Word], parts: Sequence[_Part]) -> None:
    for at, part in enumerate(parts):
        if (part.apart or at == 0) and symbols and symbols[-1] != " " and symbols[-1] not in OPENING:
            symbols.append(" ")
        read, first = part.read, len(symbols)
        characters = tuple(first + character for character in read.characters)
        words.append(Word(read.start, read.end, first, first + len(read.symbols), characters))
        symbols += read.symbols


def _is_letter_a(tokens: Sequence[_Token], at: int) -> bool:
    """True for an English "A" that is no article: "the U S A and", "vitamin A is", "nine a m".

    espeak-ng knows it at the end of a clause only. Where it is the article after all ("Once Upon A time"), it
    gets its strong form.
    """
    written = tokens[at].written
    if written not in ("A", "a") or at + 1 == len(tokens):
        return False
    following = tokens[at + 1].written
    if written == "a":
        return following == "m"
    after_word = at > 0 and tokens[at - 1].written[-1].isalnum()  # not the mark of a list
    return (following.isupper() and len(following) == 1) or (after_word and not following[0].isupper())


def _is_apart(found: Sequence[_Token], at: int) -> bool:
    """True if espeak-ng gets a space before a token; it also gets one where a long word was cut."""
    beside = found[at].given or (at > 0 and found[at - 1].given)
    return not (found[at].joined and beside)


def _by_token(spoken: str, written: Sequence[str], alone: Sequence[str]) -> list[str]:
    """Symbols of each token of a clause, with the spaces before and inside it."""
    own = [""] * len(written)
    space = ""
    for symbol, index in zip(spoken, assign_symbols(spoken, written, alone) if spoken else (), strict=True):
        if index < 0:
            space = " "
        else:
            own[index] += space + symbol
            space = ""
    return own


def _split(symbols: str, words: list[Word]) -> Iterator[Utterance]:
    """Cut into pieces of similar length, none longer than ``MAX_UTTERANCE_SYMBOLS``."""
    start = 0
    while start < len(symbols):
        left = len(symbols) - start
        pieces = -(-left // MAX_UTTERANCE_SYMBOLS)
        stop = len(symbols) if pieces == 1 else start + _cut(symbols[start:], left // pieces)
        piece = symbols[start:stop]
        # The symbols of a number contain spaces, and may be cut at one.
        first, end = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        inside = tuple(
            replace(
                w,
                first=max(w.first, first) - first,
                stop=min(w.stop, end) - first,
                characters=tuple(min(max(character, first), end) - first for character in w.characters),
            )
            for w in words
            if w.first < end and w.stop > first
        )
        if inside:
            yield Utterance(piece.strip(), inside)
        start = stop


def _cut(symbols: str, wanted: int) -> int:
    """Position of a cut near ``wanted``: after a mark, else at a space, else before a stress."""
    for kind in (r"(?<=[.!?…] )", r"(?<=[;:,—)”] )", r"(?<= )", r"(?=[ˈˌ])"):
        places = [
            match.start()
            for match in re.finditer(kind, symbols[: MAX_UTTERANCE_SYMBOLS + 1])
            if 0.6 * wanted <= match.start() <= MAX_UTTERANCE_SYMBOLS
        ]
        if places:
            return min(places, key=lambda place: abs(place - wanted))
    return wanted
