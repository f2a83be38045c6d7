"""Phrase breaks: the places where a reader would take a breath, each with its kind.

A break is found only once the character after its white space is known (or the text is complete), so that
further text never changes the kind of an earlier break.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from kani.text.markup import MASK, PARAGRAPH_END

SENTENCE_MARKS = ".!?…‽"
# Arabic and Urdu, Devanagari, CJK (also half width), Ethiopic, Armenian, Khmer, Burmese, Tibetan.
UNSPACED_MARKS = "。！？｡．।॥۔؟።፧։។៕။།"
CLAUSE_MARKS = ",;:،؛"
UNSPACED_CLAUSE_MARKS = "、，；：､"
CLOSERS = "\"'»”’)]}」』）】》〉" + MASK
# Closers that never open: after a space, too, they belong to the text before them.
RIGHT_CLOSERS = "»”)]}」』）】》〉"
DASHES = "—–-"

ABBREVIATIONS = frozenset(
    """
    sr sra srta sres dr dra dres d dña prof profa lic ing arq gral tte exc ud uds vd vds av avda c pza
    pág págs párr núm nº vol ed ej p.ej aprox tel etc a.c d.c bs
    admón apdo art arts atte ayto bco cap cnel ctra cía dcha depto dpto esq excma excmo fig hab izq izqda
    máx mín mons núms pl ref seg sras ss sta tfno tlf univ vols
    mr mrs ms st jr sen rep gov gen col lt sgt capt hon rev messrs dept est inc ltd co corp vs e.g i.e cf
    al approx ca adm appt apt assn ave avg blvd bros ch cpl eds eg eq excl ext figs ft govt ie incl ln
    maj mon mt nos pg pres rd sec sq temp thurs tues viz jan feb apr jun jul aug sep sept oct nov dec tue
    wed thu fri a.m p.m u.s u.k
    mm mme mlle mlles p pp env bd j.-c
    allg anm abzgl betr bspw bzgl chr dgl ebd ehem einschl entspr evtl exkl fa gebr gez ggü hbf hl hrsg
    insb jg lfd med mtl nrn pfd phil pkt rer sog std stellv tgl tsd urspr zzgl
    hr hrn fr frl z.b d.h u.a bzw usw ggf nr str inkl zzt vgl geb kap mrd mio
    sig sigg dott proff avv ecc geom spett egr pag pagg artt figg cfr
    pol ind ntra ntro fdo fra fco att gtos asst assoc ct rm bldg ste plat wt nr th civ asc sez cass paz spett
    tratt bl apto ap inc proc plataf cond kl gl wg rn rdnr rz whg grdst pck
    hno hna ilmo ilma lcdo lcda mtro mtra cra kra cll loc vto cód cod pe jd rod tam eng celular cj pça trav
    amb pvt esq det supt gta rda edif rte stn conf attn acct qty prof.ssa spett cde réf voit étg pck kto ziff
    halbj pbro min sek tg stk pers bât cl incl scad fatt tab avail util bal exmo exma sto nac srs srtas srta
    séc mgr chap tél
    bibl inst fac hosp clín farm colec fund gob rvdo rvda rdo vda alte almte brig mons pdte abg abog cte prov
    hôp biblio clin resp dest ist osp uff pal hosp emb atend rens adj
    colh colhs xíc col largh lungh profond entr secc sécs capp tavv vols
    mun mpal distr blvd avd edit introd sdad asoc prod mús coord colab
    pr nd rtn sgl dbl perf perfs
    acc arr atty betw cath cllr dep diam elev encl engr esp expy freq furn unfurn fwy hosp hwy ibid
    illus illustr intl inv jct msgr natl ofc pkwy publ repr rept retd revd rnd rnds usu thur weds mtg
    appts mgmt chq abf abschn abw abzügl adr akad amtl angeb ank ankf anschl aufg ausf ausg ausschl
    autom außerd bayer bearb beif beil beschl bes bgm bgmstr bibl biol brit chem christl desgl dipl doz
    durchschn eigtl eingetr einl einw elektr entf enth ermäß europ evang feiertgs finanz fortl franz
    frdl freundl frfr frhr frz gegr geogr gepr gesetzl getr gleichz grds grdsl griech halbtgs haltest
    herg hins hist hpts hst inh innerh insp intern internat ital jahrg jew jurist jährl kath kaufm kompl
    konst krs königl körperl künstl landw ldkr lkr ltg mdl mind mitgl monatl männl möbl mündl nachm
    natürl nördl offiz ordentl pckg persönl pfr pkg polit prakt psych rde rechn rechng rechtl regelm
    relig restl richtg russ röm schriftl schwed schweiz spezif staatl statist stdl stud stv städt ständ
    stündl sämtl südl tabl tbl techn teiln teilw telef theol theor tägl türk unbefr unbek ungef unmöbl
    unverb verantw vereinb vertr verw vollst vorauss voraussichtl vorl vorm vorz wahrsch wahrscheinl wdh
    weibl werkt westl wfl wirtsch wiss wofl wohnfl wöchentl zahlb zahlr zus zuz zuzügl öffentl örtl östl
    übers überw stck bhf
    डॉ डा प्रो श्री मि पं स्व कु सु इं सं क्र पृ उदा नं रु रू ई.पू कि.मी से.मी मि.मी कि.ग्रा मि.ग्रा मि.ली मी ली ग्रा
    सोम मंगल बुध गुरु शुक्र शनि रवि जन फर फ़र अप्रै जुला अग सितं अक्टू नवं दिसं अधि अधिक न्यू न्यून अध्या खं अ भा दि ता मो
    फो सौ एड उ.प्र म.प्र प्रा तह जि अनु धा लग घं
    """.split()
)
"""Words with a full stop that doesn't end a sentence: es, en, fr, de, it, pt and hi."""

CONJUNCTIONS = frozenset(
    """
    y e o u pero sino pues aunque mientras cuando donde porque que si como ni
    and or but nor so yet because although though while when where unless until since which that if than then
    et ou mais donc car parce quand lorsque puisque comme tandis
    und oder aber denn weil dass wenn obwohl während sondern
    ma però perché quando mentre dove anche oppure
    mas quando enquanto onde embora ou pois
    """.split()
)
"""Words with a phrase break before them, in the same languages."""

MAX_CONJUNCTION = max(map(len, CONJUNCTIONS))

_CLOSERS_AND_SPACE = CLOSERS + " \t\u00a0\u202f"
_OPENERS = "\"'«“‘([{¿¡"
_TOKEN_TAIL = re.compile(r"\S*\Z")
_WORD = re.compile(r"[^\W\d_]+")
_SPACE = re.compile(r"\s*")
_SIGNS = DASHES + "@=+&×"
_DAYS = re.compile(r"\d{1,2}\.?[-–/]\d{1,2}")
_UNSPACED = re.escape(UNSPACED_MARKS + UNSPACED_CLAUSE_MARKS)
_STOP = re.compile(rf"[\s—{_UNSPACED}]")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}{re.escape(CLOSERS)}]*")


class BreakKind(IntEnum):
    """Kind of a phrase break; a greater one is a better place to cut.

    UNSAFE is a space inside a number or after an abbreviation: a place to cut only where there is no other.
    """

    UNSAFE = 0
    SPACE = 1
    CONJUNCTION = 2
    CLAUSE = 3
    SENTENCE = 4
    PARAGRAPH = 5


@dataclass(frozen=True, slots=True)
class PhraseBreak:
    """A phrase break before character ``at`` (an index into the text that was searched)."""

    at: int
    kind: BreakKind


def phrase_breaks(text: str, start: int, complete: bool) -> Iterator[PhraseBreak]:
    """The phrase breaks of ``text`` after ``start``, in order.

    Unless ``complete``, the first break that more text could still change ends the search. The end of the
    text itself is not a break. Takes time linear in the searched text.
    """
    at = start
    while stop := _STOP.search(text, at):
        at = stop.start()
        spaced = text[at].isspace()
        end = _SPACE.match(text, at).end() if spaced else _UNSPACED_RUN.match(text, at + 1).end()  # type: ignore[union-attr]
        if end >= len(text):
            return
        if spaced:
            kind = _kind_at_space(text, start, at, end, complete)
            if kind is None:
                return
            if at > start:
                yield PhraseBreak(end, kind)
        elif not text[end].isspace() and (unspaced := _kind_unspaced(text, start, at, end)) is not None:
            yield PhraseBreak(end, unspaced)
        at = end


def _kind_unspaced(text: str, start: int, at: int, end: int) -> BreakKind | None:
    """The kind of the break after a mark ``[at, end)`` that no white space follows.

    Text before ``start`` is not searched: whether it is still there depends on how the text was cut on its
    way.
    """
    mark = text[at]
    before = text[at - 1] if at > start else ""
    if mark in UNSPACED_MARKS or mark in UNSPACED_CLAUSE_MARKS:
        if before.isdigit() and text[end].isdigit():
            return None
        return BreakKind.SENTENCE if mark in UNSPACED_MARKS else BreakKind.CLAUSE
    token = _token_before(text, start, at)
    if "://" in token or "@" in token or not before.isalpha():
        return None
    return BreakKind.CLAUSE if text[end].isalpha() else None


def _token_before(text: str, start: int, at: int) -> str:
    """The characters before ``at`` that no space divides (the last 64), without closing marks."""
    before = text[max(start, at - 64) : at].rstrip(_CLOSERS_AND_SPACE)
    match = _TOKEN_TAIL.search(before)
    return match.group() if match else ""


def _kind_at_space(text: str, start: int, at: int, end: int, complete: bool) -> BreakKind | None:
    """The kind of the break at the white space ``[at, end)``; None if that depends on more text."""
    newlines = text.count("\n", at, end)
    following = text[end]
    if newlines > 1:
        return BreakKind.PARAGRAPH
    if PARAGRAPH_END in text[at:end]:
        return BreakKind.PARAGRAPH if newlines else BreakKind.SENTENCE
    if following in RIGHT_CLOSERS or following in SENTENCE_MARKS or following in CLAUSE_MARKS:
        return BreakKind.UNSAFE
    stem = _token_before(text, start, at)
    last = stem[-1:]
    if newlines and not following.islower() and not (last == "." and is_abbreviated(stem, following)):
        return BreakKind.SENTENCE
    if last and last in UNSPACED_MARKS:
        return BreakKind.SENTENCE
    if last and last in SENTENCE_MARKS:
        return _kind_after_sentence_mark(stem, following)
    if last and last in CLAUSE_MARKS + UNSPACED_CLAUSE_MARKS:
        return BreakKind.UNSAFE if stem[-2:-1].isdigit() and following.isdigit() else BreakKind.CLAUSE
    if following in DASHES:
        if end + 1 >= len(text):
            return BreakKind.SPACE if complete else None
        return BreakKind.CLAUSE if text[end + 1].isspace() else BreakKind.SPACE
    word = _WORD.match(text, end)
    if word is not None:
        if word.end() == len(text) and not complete and len(word.group()) <= MAX_CONJUNCTION:
            return None
        if word.group().casefold() in CONJUNCTIONS:
            return BreakKind.CONJUNCTION
    tears = last.isdigit() or following.isdigit() or last in tuple("$€£¥#")
    return BreakKind.UNSAFE if tears else BreakKind.SPACE


def _kind_after_sentence_mark(stem: str, following: str) -> BreakKind:
    body = stem.rstrip(SENTENCE_MARKS)
    if stem[len(body) :] != ".":
        return BreakKind.CLAUSE if following.islower() else BreakKind.SENTENCE
    if is_abbreviated(stem, following):
        return BreakKind.UNSAFE
    if following.islower():
        return BreakKind.CLAUSE if len(body) > 2 and body.isalpha() else BreakKind.UNSAFE
    return BreakKind.SENTENCE


def is_abbreviated(stem: str, following: str) -> bool:
    """True if the full stop that ends ``stem`` belongs to an abbreviation or an ordinal, not to a sentence.

    It does in known abbreviations, German streets ("Hauptstr."), initials ("J.", "e.e.u.u."), doubled letters
    ("EE. UU."), numbers of one or two digits, which may be ordinals or list items ("3. Mai", "12.-14. Mai",
    "1. Abrir"), and short words before a digit or a dash ("No. 5", "3 abr. – 5 may.").
    """
    word = re.split("['’]", stem.rstrip(".").lstrip(_OPENERS).casefold())[-1]
    if word in ABBREVIATIONS or word.endswith("str") or (len(word) == 1 and word.isalpha()):
        return True
    if word.isdigit():
        return len(word) <= 2
    goes_on = following.isdigit() or following in _SIGNS
    if word.isalpha() and ((len(word) == 2 and word[0] == word[1]) or (len(word) <= 4 and goes_on)):
        return True
    last = word.rpartition("-")[2]
    if _DAYS.fullmatch(word) or last in ABBREVIATIONS or (last.isalpha() and len(last) <= 3 and goes_on):
        return True
    parts = word.split(".")
    return len(parts) > 1 and all(len(part) <= 2 and part.isalpha() for part in parts)


def is_grapheme_start(text: str, at: int) -> bool:
    """True if a cut before ``at`` leaves marks, joined emoji and surrogate halves together."""
    character = text[at]
    return not (
        unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
        or text[at - 1] == "\u200d"
        or "\udc00" <= character <= "\udfff"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
