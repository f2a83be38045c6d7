"""Names of currencies in any language, from CLDR, for codes that a table has no line for."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from babel.numbers import get_currency_name

_SIGNS = dict(
    sign.split(":")
    for sign in """
    BRL:R$ MXN:MX$ CNY:CN¥ JPY:JP¥ TWD:NT$ HKD:HK$ SGD:S$ NZD:NZ$ AUD:A$ CAD:CA$ KRW:₩ INR:₹ ILS:₪ THB:฿ VND:₫
    PHP:₱ TRY:₺ RUB:₽ UAH:₴ KZT:₸ PYG:₲ CRC:₡ NGN:₦ PLN:zł CZK:Kč
    """.split()
)
_CODES = """
    SEK NOK DKK ISK HUF BGN RSD EGP DZD TND XOF XAF ZAR KES AED SAR QAR KWD IDR MYR PKR BDT LKR ARS CLP UYU
    GTQ HNL DOP NIO VES
    """.split()
"""Codes that no language has for a word; those of ``_SIGNS`` have a sign too."""


def other_currencies(language: str, known: Collection[str]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield each currency's sign and code that are not in ``known``, and its names for one and for many."""
    for code in (*_SIGNS, *_CODES):
        written = tuple({code, _SIGNS.get(code, code)}.difference(known))
        if written:
            one, many = (get_currency_name(code, count=count, locale=language) for count in (1, 5))
            if language == "pt":
                # Every Portuguese name has a capital in CLDR.
                one, many = one[:1].lower() + one[1:], many[:1].lower() + many[1:]
            yield written, one, many
