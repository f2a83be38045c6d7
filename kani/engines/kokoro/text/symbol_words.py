"""Assigns each symbol of a clause to one of its words."""

import re
from collections.abc import Sequence

import numpy as np

_STRESS = "ˈˌ"
_UNSTRESSED = re.compile(f"[{_STRESS} ]")


def has_group_for_each_word(symbols: str, words: Sequence[str]) -> bool:
    """True if the clause's groups of symbols are its words one by one: none is joined, none a number."""
    return symbols.count(" ") + 1 == len(words) and all(word.isalpha() for word in words)


def assign_symbols(symbols: str, words: Sequence[str], alone: Sequence[str]) -> list[int]:
    """Index into ``words`` for each of ``symbols``, the clause's; -1 for spaces. Indexes never decrease.

    alone: symbols of each word by itself, unused if ``has_group_for_each_word``. Where the clause has as many
    groups of symbols as its words have by themselves (a number has several), groups are assigned in order.
    Otherwise (espeak-ng joins weak words, "of the") the clause's letters are aligned to those of the words.
    """
    groups = symbols.split(" ")
    if has_group_for_each_word(symbols, words):
        return _assign_groups(groups, range(len(words)))
    owner = [index for index, symbols_alone in enumerate(alone) for _ in symbols_alone.split()]
    if len(groups) == len(owner):
        return _assign_groups(groups, owner)
    letters = _UNSTRESSED.sub("", symbols)
    sources = [
        (index, letter)
        for index, symbols_alone in enumerate(alone)
        for letter in _UNSTRESSED.sub("", symbols_alone)
    ]
    if not letters or not sources:
        return _assign_groups(groups, [0] * len(groups))
    matched = _align(letters, "".join(letter for _, letter in sources))
    return _settle(groups, [sources[position][0] for position in matched])


def _assign_groups(groups: Sequence[str], owner: Sequence[int]) -> list[int]:
    result: list[int] = []
    for group, index in zip(groups, owner, strict=True):
        result += [index] * len(group) + [-1]
    return result[:-1]


def _settle(groups: Sequence[str], by_letter: Sequence[int]) -> list[int]:
    """Assign a stress mark like the letter after it, and a misaligned letter at the edge to its group."""
    result: list[int] = []
    at = 0
    for group in groups:
        count = len(_UNSTRESSED.sub("", group))
        owner = list(by_letter[at : at + count])
        at += count
        if count > 1 and at > count and owner[0] == by_letter[at - count - 1]:
            owner[0] = owner[1]
        if count > 1 and at < len(by_letter) and owner[-1] == by_letter[at]:
            owner[-1] = owner[-2]
        if not owner:
            owner = [by_letter[min(at, len(by_letter) - 1)]]
        letter = 0
        for symbol in group:
            result.append(owner[min(letter, len(owner) - 1)])
            letter += symbol not in _STRESS
        result.append(-1)
    return result[:-1]


def _align(letters: str, alone: str) -> list[int]:
    """Position in ``alone`` for each letter of ``letters``; positions never decrease.

    Alignment by minimal edit distance (Wagner and Fischer 1974), a row at a time.
    """
    source = np.array([ord(letter) for letter in alone])
    columns = np.arange(len(alone) + 1)
    rows = np.zeros((len(letters) + 1, len(alone) + 1), np.int32)
    rows[0] = columns
    for at, letter in enumerate(letters, 1):
        row = rows[at - 1] + 1
        np.minimum(row[1:], rows[at - 1, :-1] + (source != ord(letter)), out=row[1:])
        # An insertion costs one a column: a running minimum after subtracting the slope.
        rows[at] = np.minimum.accumulate(row - columns) + columns
    positions = [0] * len(letters)
    at, column = len(letters), len(alone)
    while at:
        here = rows[at, column]
        if column and here == rows[at - 1, column - 1] + (alone[column - 1] != letters[at - 1]):
            at, column = at - 1, column - 1
            positions[at] = column
        elif here == rows[at - 1, column] + 1:
            at -= 1
            positions[at] = max(column - 1, 0)
        else:
            column -= 1
    return positions
