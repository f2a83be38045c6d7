"""Collects sentences from text files: what the teacher says, and the student learns to say.

Files may be plain text, fortunes (separated by ``%``), HTML and manual pages, each also gzipped, and compiled
translations (gettext's ``.mo``), such as the dialogues of a game.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from kani_text.language_detection import detect, load_detector
from kani_text.languages import primary

_MO_LITTLE_ENDIAN = b"\xde\x12\x04\x95"

MIN_WORDS, MAX_WORDS = 3, 25
MAX_CHARACTERS = 220

_PLAIN = re.compile(r"[^\W\d_]|[\d\s.,;:!?¡¿…'’\"“”«»()—–%-]")
_WORD = re.compile(r"[^\W\d_]{1,20}")
_PARAGRAPH = re.compile(r"\n\s*\n|\n%\n")
_AUTHOR = re.compile(r"\s--\s.*", re.DOTALL)  # of a fortune
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”»)]*\s+(?=[\"“«(¿¡—-]*[A-ZÀ-ÖØ-ÝÑ])")
_UNSPOKEN = {"script", "style", "pre", "code", "tt", "kbd", "samp", "table"}
_BLOCKS = {"p", "div", "li", "dd", "dt", "h1", "h2", "h3", "h4", "td", "br", "ul", "ol"}

TEMPLATES = {
    "es": (
        "¿Cuánto cuestan {n} entradas para el {d} de {m}?",
        "Son las {h} y {n}, y todavía no ha llegado nadie.",
        "¡Qué alegría! Han venido {n} personas en {n} coches.",
        "Vivo en el número {n} desde el {d} de {m} de {y}.",
        "¿Puedes llamar al {n}, por favor?",
        "Quedan {n} kilómetros, o sea, {n} minutos.",
        "¡Cuidado! La temperatura baja a {n} grados.",
        "El capítulo {d} tiene {n} páginas, ¿verdad?",
    ),
    "fr": (
        "Combien coûtent {n} billets pour le {d} {m} ?",
        "Il est {h} heures {d}, et personne n'est encore arrivé.",
        "Quelle joie ! Nous étions {n} dans {d} voitures.",
        "J'habite au numéro {n} depuis le {d} {m} {y}.",
        "Est-ce que tu peux appeler le {n}, s'il te plaît ?",
        "Il reste {n} kilomètres, c'est-à-dire {n} minutes.",
        "Attention ! La température descend à {d} degrés.",
        "Le chapitre {d} a {n} pages, n'est-ce pas ?",
    ),
    "it": (
        "Quanto costano {n} biglietti per il {d} {m}?",
        "Sono le {h} e {d}, e non è ancora arrivato nessuno.",
        "Che gioia! Sono venute {n} persone con {d} macchine.",
        "Abito al numero {n} dal {d} {m} {y}.",
        "Puoi chiamare il {n}, per favore?",
        "Mancano {n} chilometri, cioè {n} minuti.",
        "Attenzione! La temperatura scende a {d} gradi.",
        "Il capitolo {d} ha {n} pagine, vero?",
    ),
    "pt": (
        "Quanto custam {n} ingressos para o dia {d} de {m}?",
        "São {h} horas e {d} minutos, e ninguém chegou ainda.",
        "Que alegria! Vieram {n} pessoas em {d} carros.",
        "Moro no número {n} desde {d} de {m} de {y}.",
        "Você pode ligar para {n}, por favor?",
        "Faltam {n} quilômetros, ou seja, {n} minutos.",
        "Cuidado! A temperatura cai para {d} graus.",
        "O capítulo {d} tem {n} páginas, não é?",
    ),
}
"""Sentences with numbers, questions and exclamations, which written texts have too few of."""

_MONTHS = {
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
}
_PER_TEMPLATE = 150


def sentences(files: Iterable[Path], language: str) -> list[str]:
    """Distinct sentences of ``files`` and of the language's templates, in an order without meaning.

    language: BCP 47; sentences of another one are left out.
    """
    load_detector()
    found = {text for file in files for text in _sentences_of(_paragraphs(file), primary(language))}
    return sorted(found.union(_from_templates(primary(language))), key=_mixed)


def held_out(text: str) -> bool:
    """True for the fiftieth of all sentences that nothing is trained or tuned on."""
    return int(_mixed(text), 16) % 50 == 0


def missing_pairs(symbols: Iterable[str], wanted: Iterable[str]) -> Counter[str]:
    """Pairs of symbols that occur in ``wanted``, such as the held-out sentences, and not in ``symbols``."""
    known = {one + other for text in symbols for one, other in pairwise(text)}
    return Counter(
        one + other for text in wanted for one, other in pairwise(text) if one + other not in known
    )


def _mixed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _sentences_of(paragraphs: Iterable[str], language: str) -> Iterator[str]:
    for paragraph in paragraphs:
        for text in _SENTENCE_END.split(" ".join(_AUTHOR.sub("", paragraph).split())):
            if _usable(text) and detect(text, (language,)) == language:
                yield text


def _usable(text: str) -> bool:
    words = _WORD.findall(text)
    return (
        MIN_WORDS <= len(words) <= MAX_WORDS
        and len(text) <= MAX_CHARACTERS
        and text[-1] in ".!?…"
        and not _PLAIN.sub("", text)
        and sum(word.islower() for word in words) * 2 > len(words)
    )


def _paragraphs(file: Path) -> Iterator[str]:
    content = file.read_bytes()
    if file.suffix == ".mo":
        yield from _translations(content)
        return
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    text = content.decode("utf-8", errors="ignore")
    name = file.name.removesuffix(".gz")
    if name.endswith((".html", ".htm", ".xhtml")):
        parser = _Prose()
        parser.feed(text)
        parser.close()
        text = "".join(parser.parts)
    elif re.search(r"\.\d\w?$", name):
        text = _manual_prose(text)
    yield from _PARAGRAPH.split(text)


def _translations(content: bytes) -> Iterator[str]:
    """The translations of a compiled catalogue, as GNU gettext's manual describes the file."""
    order = "<" if content.startswith(_MO_LITTLE_ENDIAN) else ">"
    count, _, table = struct.unpack_from(f"{order}3I", content, 8)
    for at in range(count):
        length, begin = struct.unpack_from(f"{order}2I", content, table + 8 * at)
        # Plural forms are divided by zeros.
        yield from content[begin : begin + length].decode(errors="ignore").split("\0")


class _Prose(HTMLParser):
    """The running text of a page, blocks apart."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unspoken = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self._unspoken += tag in _UNSPOKEN
        if tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self._unspoken = max(0, self._unspoken - (tag in _UNSPOKEN))
        if tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        # A sentence with a gap is not usable: the mark has no place in ``_PLAIN``.
        self.parts.append("\x00" if self._unspoken else data)


def _manual_prose(text: str) -> str:
    """The paragraphs of a manual page (roff), without fonts, requests and tables of options."""
    lines = []
    for line in text.splitlines():
        if line.startswith((".B ", ".I ", ".BR ", ".IR ")):
            lines.append(line.split(" ", 1)[1])
        elif line.startswith((".", "'")):
            lines.append("\n")
        else:
            lines.append(line)
    text = re.sub(r"\\f(?:\(\w\w|\[\w*\]|\w)|\\[,/&|^]", "", "\n".join(lines))
    return text.replace("\\-", "-").replace("\\(aq", "'")


def _from_templates(language: str) -> Iterator[str]:
    months = _MONTHS.get(language, "").split()
    for place, template in enumerate(TEMPLATES.get(language, ())):
        for turn in range(_PER_TEMPLATE):
            seed = int(_mixed(f"{place} {turn}"), 16)
            text = template.format(
                n="{n}", d=1 + seed % 28, m=months[seed % 12], h=2 + seed % 10, y=1950 + seed % 90
            )
            while "{n}" in text:
                seed = seed // 7 + 13
                text = text.replace("{n}", str(3 + seed % (97 if turn % 3 else 9_700)), 1)
            yield text
