"""Text of a block of HTML with the marks that it has while it is read, and what is shown of it."""

import re
from dataclasses import dataclass, field

from kani.books.book import with_reading

# Characters of no document: the end of a line, around a picture's text, between elements of a heading, around
# what is emphasized.
LINE_END, PICTURE, SEAM, EMPHASIS, CALM = "\0\1\2\3\4"
PICTURES = re.compile(rf"{PICTURE}[^{PICTURE}]*{PICTURE}")
UNMARKED = str.maketrans("", "", PICTURE + SEAM + EMPHASIS + CALM)
NOTE_MARK = re.compile(r"\s*[\[(]?(?:\d{1,4}|[*†‡§]{1,3}|[ivxlc]{1,5}|[a-z])[\])]?\s*")
_RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FIGURE_PIECES, _FIGURE_LENGTH = 12, 40
"""Most pieces and characters of a figure that is raised or lowered."""
_OPENING = '“‘«"('
_SEAMS = re.compile(f"{SEAM}+")
_CASELESS = re.compile(r"[\u0590-\u1fff\u2e80-\uffee]")
_NAME_BEGINS = re.compile(r"\bMa?c$")


@dataclass(slots=True)
class Ruby:
    """A word with its reading: where in the texts it begins, and where each reading's part of it ends."""

    begin: int
    readings: list[tuple[int, str]] = field(default_factory=list)
    reading_at: int | None = None

    def end_reading(self, texts: list[str]) -> None:
        """Take the reading that ends here, if one is open, out of the texts."""
        if self.reading_at is not None:
            reading = "".join("".join(texts[self.reading_at :]).split())
            del texts[self.reading_at :]
            self.readings.append((self.reading_at, reading))
            self.reading_at = None

    def end(self, texts: list[str]) -> None:
        """Write the word with the reading of all its parts, if that is known; of kana it is the kana."""
        self.end_reading(texts)
        said, begin = "", self.begin
        for end, reading in (*self.readings, (len(texts), "")):
            said += reading or "".join(texts[begin:end])
            begin = end
        word = "".join("".join(texts[self.begin :]).translate(UNMARKED).split())
        if word != said:
            texts[self.begin :] = [with_reading(word, said)]


def shift(texts: list[str], tag: str, begin: int) -> None:
    """Write raised and lowered figures so that they are read as such; a mark of a note is left out."""
    # Elements may be nested, or follow each other, without end: each looks at a few characters.
    inner = texts[begin : begin + _FIGURE_PIECES + 1]
    if len(inner) > _FIGURE_PIECES or sum(map(len, inner)) > _FIGURE_LENGTH:
        return
    written = "".join(inner).translate(UNMARKED).strip()
    before = texts[max(0, begin - _FIGURE_PIECES) : begin]
    base = "".join(each[-12:] for each in before).translate(UNMARKED)[-12:].rpartition(" ")[2]
    if tag == "sub":
        shifted = written.translate(_LOWERED)
    elif re.fullmatch("[oaerds]", written) and base[-1:].isdigit():
        # "1º", "5e"
        shifted = {"o": "º", "a": "ª"}.get(written, written)
    elif written == "o" and base in ("N", "n") and texts[begin - 1].endswith(base):
        texts[begin - 1] = texts[begin - 1][:-1]
        shifted = "№"
    elif re.fullmatch(r"[+\-−]?\d{1,4}|[a-z]", written) and re.search(
        r"(?:\d|(?<![^\W\d_])[^\W\d_]{1,2}|\))$", base
    ):
        shifted = f"^{written}" if written.isalpha() else written.translate(_RAISED)
    elif NOTE_MARK.fullmatch(written) and not written.isalpha():
        shifted = ""
    else:
        return
    texts[begin:] = [shifted]


def split_emphasis(marked: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return a text without the marks of emphasis, and begin and end of each part between them."""
    pieces, found, at, begin, depth = [" "], list[tuple[int, int]](), 0, 0, 0
    for piece in re.split(f"([{EMPHASIS}{CALM}])", marked):
        if piece == EMPHASIS:
            depth, begin = depth + 1, begin if depth else at
        elif piece == CALM:
            if depth == 1 and begin < at:
                found.append((begin, at))
            depth = max(depth - 1, 0)
        # Of spaces at both sides of a mark one stays.
        elif kept := piece[1:] if piece[:1] == " " and pieces[-1][-1] in " \n" else piece:
            pieces.append(kept)
            at += len(kept)
    text = "".join(pieces[1:]).rstrip()
    return text, tuple((first, min(last, len(text))) for first, last in found if first < len(text))


def shown(line: str, is_heading: bool) -> str:
    """Return a line, with the texts of its pictures if it is a heading or has words of its own."""
    bare = PICTURES.sub("", line)
    told = line.replace(PICTURE, "") if is_heading or re.search(r"\w", bare) else bare
    whole = " ".join(_SEAMS.sub(_met, told).split())
    return whole if whole.strip(f" {EMPHASIS}{CALM}") else ""


def _met(seam: re.Match[str]) -> str:
    """Return a space where two words meet: "3", "The Road", but not in "C", "HAPTER" or "3", "rd"."""
    text, at, end = seam.string, seam.start(), seam.end()
    earlier, before = text[max(at - 2, 0) : max(at - 1, 0)], text[max(at - 1, 0) : at]
    after, later = text[end : end + 1], text[end + 1 : end + 2]
    siblings, begins = end - at > 1, after.isupper() and later.islower()
    if begins and _NAME_BEGINS.search(text, max(at - 3, 0), at):
        return ""
    if before.isupper() and not earlier.isupper():  # an initial, or a word of one letter
        apart = siblings and (begins or after in _OPENING)
    elif before.isdigit() or before in ".:)!?":
        apart = after.isupper() or (
            siblings and not after.isdigit() and not (before.isdigit() and after.islower())
        )
    else:
        whole = before.isalnum() and not (before.isdigit() and after.isdigit())
        # Letters without case are words only where both have an element of their own.
        new = after.isupper() or after.isdigit() or after in _OPENING or _CASELESS.match(after)
        apart = (siblings and bool(new) and (whole or bool(_CASELESS.match(before)))) or (
            before.islower() and begins
        )
    return " " if apart else ""
