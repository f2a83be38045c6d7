"""Every spoken character knows what it stands for, and nothing that was said is taken back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kani.text.lexicon import Lexicon
from kani.text.normalizer import NormalizerOptions, normalize
from kani.text.normalizer.tables.loaded import TABLES_FOLDER
from kani.text.segment_weight import unspaced_end
from kani.text.writing import HAN_AND_KANA_LANGUAGES

LANGUAGES = sorted(path.stem for path in TABLES_FOLDER.rglob("*.toml"))

LEXICON = Lexicon().with_request(
    {
        "sql": "sequel",
        "buenos aires de": "baires",
        "21": "blackjack",
        "c++": "ce",
        "重庆": "/chong2 qing4/",
        "会议在": "开会",
        "長男": "/ちょうなん/",
        "データ": "/ˈdeːta/",
    }
)

WORDS = {
    "": """
    El el la las a de y 3/4 19:30 h 21 casas 1.250,50 € % km km/h Dr. Dr p. ej. EE. UU. U.S. e.g. etc. XXI
    siglo Felipe II 10–12 10-12 - – — -5 +12 $3.50 5 million millones M€ USD EUR 20 1 000 000 1/2 ½ 2 taza +34
    612 345 678 (555) 123-4567 555-1234 April abril 3rd 3 2024 , . ... !!! ? ¿ « » ( ) p. m. p.m. am 7 7pm
    NASA FBI TODO #AbC @x a_b a@b.es https://ej.es/a v2.0.1 1.2.3.4 J. K. J 007 1990s '90s 1º 3.ª 3x4 10^8
    5×10⁸ SQL sql Buenos Aires buenos aires
    de\u0301 é π C++ COVID-19 & + = < > 2+2=4 c/ n.º 1er 5'10" 20° C
    sr. luis vii vi XV-XVI GMT-3 mid-1980s AM-5:00 $5k-$7k/yr €/kg 3/day
    2 tbsp. 1er. 40°25'13" >= 8,5/10 39/2015
    """,
    "de": """
    Am am der Der die ein das im von bis und vom Unter König Ludwig XIV. II Elisabeth 3. 5. 3 1 1.
    2024 3.–5. 3.10. 10. 3.10.24
    Oktober Mai Okt. Klasse Stock Kind kleine Katze Er Danach Mio. Mrd € Euro Std. lang Uhr 2.30
    19:30 9–17 h 80er 18-jährige
    3-Zimmer-Wohnung 10-mal 2x 1½ 1/2 1/3 Tasse Abs. S. Nr. Hauptstr. bzw. z. B. Seite Jahr 1989
    1848 Revolution „ “ . , XIX.
    Jahrhundert 030 123456 GmbH ADAC %
    """,
    "fr": """
    l'ONU d'EDF QU'EST-CE l'11 M. Me le Mme Dr St n°5 n° 5 Ier XIXe siècle s. Louis XIV 1er 2e 000e 10 000
    1 250,50 €
    Md€ M€ 19h30 h 05 9h-17h 17/18 17-18-19 juin mai 06 12 34 56 78 +33 6 1/2 1 tasse 21 maisons etc. p.
    ex. av.
    J.-C. l/100 km 20° C années 90 '80 CDs 3/4 lundi
    """,
    "it": """
    L'11 settembre dell'8% l'ONU un'ASL E' C'È dott. Rossi sig.ra n°5 n. 5 XX secolo sec. XIX Luigi Pio IX
    II guerra 1º 2ª
    alle 18.30 dalle 9.00 ore 19:30 h 1.250,50 € 3,5 mln mld di euro 20k 1 studente ora amica su 3 anni '80
    347 1234567 06
    +39 1/2 tazza 3/4 ecc. Poi p. es. a.C. 44 17/18 giugno l/100 km
    """,
    "pt": """
    R$ 1.250,50 3,5 milhões mi 20k US$ 1 21 casas 2 maçãs 200 mil pessoas 19h30 às 8:05 00:15 9h-17h h dia
    3/4 1/2 hora
    1º de maio 3 jan. 2020 2ª feira 2ª-feira século XXI V D. Pedro II o XX Congresso Dr. Sra. nº5 n.º 5 Av.
    Brasil
    (11)
    91234-5678 912 345 678 123.456.789-09 01234-567 EUA CPF ONGs etc. Depois l/100 km anos '80 d'ÁGUA 17/18
    """,
    "hi": """
    मेरे पास 25 किताबें हैं। 1,00,000 ₹1,250.50 रु. 500 डॉ. शर्मा २०२४ 1947 7:30 बजे 5वें 21वीं कि.मी. 5 किमी लाख करोड़ %
    अप्रैल 3 03/04/2024 1/2 कप ई.पू. +91 98765 43210 -5°C । ॥
    """,
    "zh": """
    会议在 2024年4月3日 下午3点 19:30 起飞 ¥1,250.50 65.5kg -5℃ 12.5% 10-12公里 13812345678 请拨110 2 个
    两 第2名 1.5 万 亿 元
    3:2 v2.0.1 a_b@qq.com iPhone 15 2008 年 305 房间 点 月 日 号 至 到 ， 。 ！ ～ ２０２４ 《》 好的~
    10^8 ½ / ㎡ \u3000 重庆
    """,
    "ja": """
    2024年4月 3日 りんごを 3 本 個 分 ある。 ¥1,250 7時 19:30 〜 12人 3/4 090-1234-5678 1億2000万 円
    20歳 ｱﾌﾟﾘ データ データベース
    漢字《かんじ》 明日（あした） | 《 》 （ かな 第 4/3 (水) 東京〜大阪 110番 80km/h -5℃ 、 。 \u3000
    一歩 ずつ 二十歳 カップ 長男
    """,
    "ar": """
    في عام الساعة بين من إلى د. أحمد ص. 3 3 كتب سيارات و5 و بـ50 الـ20 ٪50 25% ٢٥ ١٬٢٥٠ 3.14 7:30 م ص مساءً
    10/12/1444 هـ 1445 2024م 3 أبريل رمضان من مليون $ 20 ر.س كم km/h 10 1/2 ½ لويس XIV الفصل إلخ. ، ؟ ! .
    جميــــل مر\u200cحبا \u200f \u064b 0501234567 #السعودية_الخضراء NASA و½ ق.م
    """,
}
"""Pieces of text by language; those of "" are for all."""

ODD = "\n 🎉 \u2029 \u00a0 \u202f \ue000 \ue001 \u200d \ud83d مرحبا \u0301 ١٢".split(" ")


@st.composite
def written_texts(draw: st.DrawFn) -> tuple[str, NormalizerOptions]:
    """A text of its language's pieces and general ones, or of any characters."""
    language = draw(st.sampled_from(["", *LANGUAGES]))
    own = st.sampled_from(WORDS.get(language, WORDS[""]).split())
    pieces = st.tuples(
        st.one_of(own, st.sampled_from(WORDS[""].split() + ODD)), st.sampled_from([" ", " ", " ", ""])
    )
    texts = st.lists(pieces, max_size=12).map(lambda parts: "".join(part + space for part, space in parts))
    lexicon = draw(st.sampled_from([None, None, LEXICON]))
    anything = st.text(st.characters(codec=None), max_size=40)
    written = draw(st.one_of(texts, texts, anything))
    return written, NormalizerOptions(language, lexicon, draw(st.booleans()))


@given(written_texts(), st.integers(0, 50))
def test_origins_are_in_order_and_inside_the_text(text: tuple[str, NormalizerOptions], offset: int) -> None:
    written, options = text
    spoken = normalize(written, offset, options)
    assert len(spoken.text) == len(spoken.starts) == len(spoken.ends)
    assert list(spoken.starts) == sorted(spoken.starts) and list(spoken.ends) == sorted(spoken.ends)
    for start, end in zip(spoken.starts, spoken.ends, strict=True):
        assert offset <= start < end <= offset + len(written)
    assert spoken.text.isprintable() and spoken.text == spoken.text.strip() and "  " not in spoken.text
    spoken.text.encode()
    for pronunciation in spoken.pronunciations:
        assert 0 <= pronunciation.start < pronunciation.end <= len(spoken.text)


@given(written_texts())
@example(("El 3 de abril de 2024 a las 7:05 p. m. en EE. UU.", NormalizerOptions("es")))
@example(("Am 3. und 4. Mai", NormalizerOptions("de")))
@example(("Es sind 3 Mio. Euro", NormalizerOptions("de")))
@example(("بين 10 و20 كتابا", NormalizerOptions("ar")))
@example(("2024年4月3日下午3:05我有2个苹果和12公斤米", NormalizerOptions("zh", LEXICON, True)))
@example(("明日（あした）は1億2000万円と3本で一歩ずつ", NormalizerOptions("ja", LEXICON, True)))
def test_further_text_never_changes_what_was_spoken(text: tuple[str, NormalizerOptions]) -> None:
    """The spoken form of a text's beginning, up to where a word ends, is the beginning of the whole's."""
    written, options = text
    ends = [at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "]
    if options.language in HAN_AND_KANA_LANGUAGES:
        ends += [at for at in range(1, len(written)) if unspaced_end(written[: at + 1], at - 1, 1000) == at]
    whole = normalize(written, 3, options)
    for end in ends:
        begun = normalize(written[:end], 3, options, complete=False)
        length = len(begun.text)
        assert whole.text[:length] == begun.text
        assert (whole.starts[:length], whole.ends[:length]) == (begun.starts, begun.ends)
        assert whole.pronunciations[: len(begun.pronunciations)] == begun.pronunciations


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Esto se dice ya", "Esto se dice ya"), ("Hay 21", "Hay"), ("Hay 21 casas", "Hay veintiuna casas"),
        ("Fue el 3", "Fue el"), ("Fue el 3 de", "Fue el"), ("Fue el 3 de abril", "Fue el tres de abril"),
        ("El Dr.", "El"), ("Me llamo Ana", "Me llamo Ana"),
    ],
)  # fmt: skip
def test_only_words_that_may_change_are_held_back(written: str, said: str) -> None:
    assert normalize(written, 0, NormalizerOptions(language="es"), complete=False).text == said


def test_words_of_one_number_share_their_origin() -> None:
    spoken = normalize("Son 31, sí", 0, NormalizerOptions(language="es"))
    assert spoken.text == "Son treinta y uno, sí"
    assert spoken.origin(4, 17) == (4, 6)
    assert [spoken.shares_origin(end) for end in (3, 11, 13, 17)] == [False, True, True, False]


@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_of_thousands_of_digits_are_spoken(language: str) -> None:
    """Python makes no integer of more than 4,300 digits, and Babel no plural of more than 28."""
    for digits in ("9" * 30, "9" * 5000, "٣" * 5000):
        for written in ("{} km", "{} %", "{}.{} kg", "{}º", "{}-{}", "{}/{}", "{}人〜{}人", "第{}", "{}万{}"):
            assert normalize(written.format(digits, digits), 0, NormalizerOptions(language)).text
