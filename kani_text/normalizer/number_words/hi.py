"""Hindi numbers: a word of its own for every number to 99, and the groups of South Asia."""

from kani_text.normalizer.number_words.words import NumberWords

_BELOW_HUNDRED = (
    "शून्य एक दो तीन चार पाँच छह सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस "
    "बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस "
    "तीस इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस "
    "चालीस इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास "
    "पचास इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ "
    "साठ इकसठ बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर "
    "सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी "
    "अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी "
    "नब्बे इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे"
).split()
_GROUPS = (
    (10**13, "नील"), (10**11, "खरब"), (10**9, "अरब"), (10**7, "करोड़"), (10**5, "लाख"), (1000, "हज़ार"),
    (100, "सौ"),
)  # fmt: skip
_ORDINALS = {
    1: "पहला", 2: "दूसरा", 3: "तीसरा", 4: "चौथा", 6: "छठा"
}  # fmt: skip
_OF_KINGS = "प्रथम द्वितीय तृतीय चतुर्थ पंचम षष्ठ सप्तम अष्टम नवम दशम".split()
_ENDINGS = {"m": "ा", "f": "ी", "oblique": "े"}
_REGULAR_ENDINGS = {"m": "वाँ", "f": "वीं", "oblique": "वें"}


class HindiNumbers(NumberWords):
    """Forms of ordinals: "m", "f", "oblique" before a noun with a postposition, "king" after a name."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "एक लाख तेईस हज़ार चार सौ छप्पन"."""
        parts = []
        for value, name in _GROUPS:
            count, number = divmod(number, value)
            if count:
                parts.append(f"{self.cardinal(count)} {name}")
        if number or not parts:
            parts.append(_BELOW_HUNDRED[number])
        return " ".join(parts)

    def ordinal(self, number: int, form: str = "") -> str:
        """ "पाँचवाँ", "इक्कीसवीं", "पहले"."""
        if form == "king":
            return _OF_KINGS[number - 1] if number <= len(_OF_KINGS) else f"{self.cardinal(number)}वें"
        form = form or "m"
        if number in _ORDINALS:
            return _ORDINALS[number][:-1] + _ENDINGS[form]
        return self.cardinal(number) + _REGULAR_ENDINGS[form]

    def year(self, number: int) -> str:
        """From 1100 to 1999 in hundreds: "उन्नीस सौ सैंतालीस"."""
        hundreds, rest = divmod(number, 100)
        if not 11 <= hundreds <= 19:
            return self.cardinal(number)
        spoken = f"{_BELOW_HUNDRED[hundreds]} सौ"
        return f"{spoken} {_BELOW_HUNDRED[rest]}" if rest else spoken
