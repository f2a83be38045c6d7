"""Symbols of units, also with prefixes ("kHz"), and names of currencies that a table has no line for."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

from babel.numbers import get_currency_name

T = TypeVar("T")

_PREFIXED = dict(
    line.split(":")
    for line in """
    L:hdcmµnpf l:hdcmµn m:kdcmµn g:kmµnpf s:mµnpf Hz:mkMGT W:nµmkMGT Wh:kMGT Wp:kMG V:nµmkM A:pnµmk Ah:m VA:kM
    Ω:mkMG F:mµnp H:mµnp S:mµnp T:mµnp C:mµnp Wb:m N:mkM Pa:mhkMG bar:mk J:mkMGTPE eV:mkMGT cal:k mol:kmµnpf
    M:mµn UI:mµ Bq:mkMGTP Sv:mµn Gy:mcµ B:kKMGTPE bit:kMGT Da:kM pc:kMG
    """.split()
)
"""Units by symbol, and the prefixes that they are written with."""

_ANY_CASE = frozenset(
    """km kms cm ml cl dl lt lts ltr kg kgs mg gr gm m2 m² m3 m³ cm² cm2 km² km2 qm mq mc ft lbs mph psi
    rpm km/h kmh kph m³/h l/min kw kwh gb tb kb go to mo hz khz mhz ghz kcal mah db hpa kbps mbps gbps fps
    hrs mins secs sec min""".split()
)
"""Units that are read in capitals and in small letters too (500 ML, 16gb) where no other is."""
_WRITTEN_AS = dict(
    line.split("=")
    for line in """
    º=° ºC=°C ºF=°F L=l gr=g lbs=lb sec=s kmh=km/h NM=nmi KB=kB kb/s=kbps Mb/s=Mbps Gb/s=Gbps MP=Mpx
    cv=CV Nm=N·m
    """.split()
)
"""Units that are written otherwise, too, where that is no other unit's."""
CURRENCY_SIGNS = {
    line[:3]: tuple(line[4:].split(","))
    for line in """
    GBP:£ JPY:¥,JP¥ CNY:CN¥,RMB BTC:₿ BRL:R$ MXN:MX$ TWD:NT$ HKD:HK$ SGD:S$ NZD:NZ$ AUD:A$,AU$ CAD:C$,CA$
    KRW:₩ INR:₹ ILS:₪ THB:฿ VND:₫ PHP:₱ TRY:₺ RUB:₽ UAH:₴ KZT:₸ PYG:₲ CRC:₡ NGN:₦ PLN:zł CZK:Kč
    """.split()
}
"""Signs of currencies in all languages, by code."""
_CODES = """
    SEK NOK DKK ISK HUF BGN RSD EGP DZD TND XOF XAF ZAR KES AED SAR QAR KWD IDR MYR PKR BDT LKR ARS CLP UYU
    GTQ HNL DOP NIO VES
    """.split()
"""Codes that no language has for a word; those of ``CURRENCY_SIGNS`` have a sign too."""


def in_all_spellings(
    units: Mapping[str, T], prefixes: Mapping[str, str], prefixed: Callable[[str, T], T]
) -> dict[str, T]:
    """A table's units, and those that its prefixes make of them; a line of the table comes first.

    "·T" stands only with other units or a prefix. ``prefixed`` joins a prefix's name and a unit.
    """
    found = dict(units)
    for written, symbol in _WRITTEN_AS.items():
        if symbol in found:
            found.setdefault(written, found[symbol])
    for symbol, written_with in _PREFIXED.items():
        unit = found.get(f"·{symbol}") or found.get(symbol)
        for prefix in written_with:
            if unit is not None and (name := prefixes.get(prefix.replace("K", "k"))) is not None:
                found.setdefault(prefix + symbol, prefixed(name, unit))
    for symbol, unit in tuple(found.items()):
        found.setdefault(symbol.replace("µ", "μ"), unit)
        if symbol.lower() in _ANY_CASE:
            for written in (symbol.upper(), symbol.lower(), symbol.capitalize()):
                found.setdefault(written, unit)
    return found


def currency_forms(code: str, language: str) -> dict[str, str]:
    """The names of a currency for one and for others."""
    one, many = (get_currency_name(code, count=count, locale=language) for count in (1, 5))
    if language == "pt":
        # Every Portuguese name has a capital in CLDR.
        one, many = one[:1].lower() + one[1:], many[:1].lower() + many[1:]
    return {"one": one, "other": many}


def other_currencies(
    language: str, known: Collection[str]
) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield each currency's signs and code that are not in ``known``, and its names."""
    for code in (*CURRENCY_SIGNS, *_CODES):
        written = tuple({code, *CURRENCY_SIGNS.get(code, ())}.difference(known))
        if written:
            yield written, currency_forms(code, language)
