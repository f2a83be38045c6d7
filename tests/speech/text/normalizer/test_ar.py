"""Arabic as it is read aloud."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speech.text.normalizer import NormalizerOptions, normalize
from speech.text.normalizer.number_words.languages import number_words

ARABIC = NormalizerOptions(language="ar")

_WORDS = """
    في عام الساعة بين من إلى د. أحمد ص. 3 3 كتب سيارات و5 و بـ50 الـ20 ٪50 25% ٢٥ ١٬٢٥٠ 3.14 7:30 م ص مساءً
    10/12/1444 هـ 1445 2024م 3 أبريل رمضان من مليون $ 20 ر.س كم km/h 10 1/2 ½ لويس XIV الفصل إلخ. ، ؟ ! .
    جميــــل مر\u200cحبا \u200f \u064b 0501234567 #السعودية_الخضراء NASA و½ ق.م
"""
_TEXTS = st.lists(
    st.tuples(st.sampled_from(_WORDS.split()), st.sampled_from([" ", " ", " ", ""])), max_size=12
).map(lambda parts: "".join(part + space for part, space in parts))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("عندي 3 سيارات و5 كتب", "عندي ثلاث سيارات وخمسة كتب"),
        ("11 طالبة و12 طالبا و8 سنوات", "إحدى عشرة طالبة واثنا عشر طالبا وثماني سنوات"),
        ("قرأت 200 صفحة و2000 كلمة", "قرأت مئتا صفحة وألفا كلمة"),
        ("1 $ و2 $ و3 $ و11 $ و200 $", "دولار واحد ودولاران وثلاثة دولارات وأحد عشر دولارا ومئتا دولار"),
        ("بعد 2 كم و15 كم و2.5 كم", "بعد كيلومترين وخمسة عشر كيلومترا واثنان فاصلة خمسة كيلومتر"),
        ("من 20 إلى 30، بين 10 و20", "من عشرين إلى ثلاثين، بين عشرة وعشرين"),
        ("مجموعة الـ20 والقرن الـ21 وبـ50", "مجموعة العشرين والقرن الواحد والعشرين وبخمسين"),
        ("٪50 و٣٫١٤ و١٬٢٥٠٬٠٠٠ و۲۵",
         "خمسون في المئة وثلاثة فاصلة أربعة عشر ومليون ومئتان وخمسون ألفا وخمسة وعشرون"),
        ("الساعة 5 والساعة 7:05", "الساعة الخامسة والساعة السابعة وخمس دقائق"),
        ("الساعة 7:30 م، 4:15 ص", "الساعة السابعة والنصف مساء، الرابعة والربع صباحا"),
        ("المسافة 7 م", "المسافة سبعة أمتار"),
        ("عام 1445 هـ الموافق 2024م",
         "عام ألف وأربعمئة وخمسة وأربعين هجري الموافق ألفين وأربعة وعشرين ميلادي"),
        ("10/12/1444 هـ", "العاشر من ذي الحجة عام ألف وأربعمئة وأربعة وأربعين هجري"),
        ("3 أبريل 2024 و3 رمضان", "الثالث من أبريل ألفين وأربعة وعشرين والثالث من رمضان"),
        ("لويس XIV، الفصل IV، المرحلة II", "لويس الرابع عشر، الفصل الرابع، المرحلة الثانية"),
        ("المادة 5 الفقرة 2", "المادة خمسة الفقرة اثنان"),
        ("1/4 و2/3 و3/8 و½", "ربع وثلثان وثلاثة أثمان ونصف"),
        ("½ kg و3/4 كم", "نصف كيلوغرام وثلاثة أرباع كيلومتر"),
        ("د. أحمد، ص. 25", "الدكتور أحمد، صفحة خمسة وعشرون"),
        ("جميــــل مر\u200cحبا \u200fنعم؟؟", "جميل مرحبا نعم؟"),
        ("مساءً شكرًا جدًّا", "مساءً شكرًا جدًّا"),
    ],
)  # fmt: skip
def test_arabic_is_read_as_a_speaker_would(written: str, said: str) -> None:
    """Numbers agree with what is counted, hours are ordinals, particles are a part of the number."""
    assert normalize(written, 0, ARABIC).text == said


def test_the_maghreb_has_the_marks_of_french() -> None:
    """1.250,5 and the like."""
    assert normalize("1.250", 0, NormalizerOptions(language="ar-MA")).text == "ألف ومئتان وخمسون"
    assert normalize("1.250", 0, ARABIC).text == "واحد فاصلة اثنان خمسة صفر"


@pytest.mark.parametrize(
    ("number", "said", "feminine"),
    [
        (0, "صفر", "صفر"), (2, "اثنان", "اثنتان"), (3, "ثلاثة", "ثلاث"), (10, "عشرة", "عشر"),
        (11, "أحد عشر", "إحدى عشرة"), (18, "ثمانية عشر", "ثماني عشرة"), (21, "واحد وعشرون", "إحدى وعشرون"),
        (100, "مئة", "مئة"), (102, "مئة واثنان", "مئة واثنتان"), (3000, "ثلاثة آلاف", "ثلاثة آلاف"),
        (25_000, "خمسة وعشرون ألفا", "خمسة وعشرون ألف"), (200_000, "مئتا ألف", "مئتا ألف"),
        (2_000_000, "مليونان", "مليونا"), (1_250_000, "مليون ومئتان وخمسون ألفا", "مليون ومئتان وخمسون ألف"),
    ],
)  # fmt: skip
def test_arabic_numbers(number: int, said: str, feminine: str) -> None:
    """As they are counted, and before a feminine noun."""
    assert number_words("ar").cardinal(number) == said
    assert number_words("ar").cardinal(number, "f") == feminine


@settings(max_examples=300, deadline=None)
@given(_TEXTS)
@example("بين 10 و20 كتابا")
def test_what_is_said_of_growing_arabic_is_never_taken_back(written: str) -> None:
    """What is said of a text's beginning, up to a space, is the beginning of what is said of all of it."""
    whole = normalize(written, 0, ARABIC)
    assert list(whole.starts) == sorted(whole.starts) and list(whole.ends) == sorted(whole.ends)
    for end in (at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "):
        begun = normalize(written[:end], 0, ARABIC, complete=False)
        assert whole.text.startswith(begun.text)
        assert whole.starts[: len(begun.text)] == begun.starts
