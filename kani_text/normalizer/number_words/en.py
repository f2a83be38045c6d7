"""English numbers: years in pairs, decades, parts."""

from kani_text.normalizer.number_words.words import NumberWords, num2words_cached


class EnglishNumbers(NumberWords):
    """Numbers without "and", as most American readers say them."""

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "one thousand two hundred fifty"."""
        return num2words_cached("en", number, "cardinal").replace(",", "").replace(" and ", " ")

    def ordinal(self, number: int, form: str = "") -> str:
        """ "one hundred first"; form "plural" adds an s."""
        spoken = num2words_cached("en", number, "ordinal").replace(",", "").replace(" and ", " ")
        return f"{spoken}s" if form == "plural" else spoken

    def year(self, number: int) -> str:
        """ "nineteen ninety-nine", "nineteen oh five", "two thousand five"."""
        return num2words_cached("en", number, "year").replace(" and ", " ").replace("oh-", "oh ")

    def decade(self, number: int) -> str:
        """ "nineteen nineties", "nineties", "two thousands"."""
        spoken = self.year(number)
        return f"{spoken[:-1]}ies" if spoken.endswith("y") else f"{spoken}s"

    def denominator(self, number: int, numerator: int) -> str | None:
        """Ordinals, up to a hundred."""
        if not 4 < number <= 100:
            return None
        return self.ordinal(number, "" if numerator == 1 else "plural")
