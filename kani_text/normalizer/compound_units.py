"""Units that consist of others, in one spelling: "kg m⁻³", "kg·m^-3" and "kg/(m^3)" become "kg/m³"."""

import re
from collections.abc import Iterator

from kani_text.writing import RAISED, is_unspaced

_AFTER_NUMBER = re.compile(r"(?<=[\d⁰¹²³⁴-⁹])[ \u00a0\u202f]?(?=[A-Za-zµμΩ°])")
_UNIT = (
    r"min|dyn|kgf|mcg|mEq|IU|yr|año|anno|ano|an(?!d)|°C"
    r"|(?:[TGMkhdcµμnp]|m(?!K))?(?:mol|cal|bar|rad|Wh|eV|Hz|Pa|Wb|lm|lx|Bq|Gy|Sv|VA|cd|[mgsAKNJWVCFΩTHLlS])|[hda]"
)
_POWER = r"\^\{[-−]?[1-6]\}|\^\([-−]?[1-6]\)|\^[-−]?[1-6]|[1-6](?!\d)|⁻?[¹²³⁴]"
_FACTOR = re.compile(rf"(?P<unit>{_UNIT})(?P<power>{_POWER})?")
"""A unit, its prefix, and its power. After "/" a metre and a kelvin are more frequent than a millikelvin."""
_SIGN = r"[·⋅∙*×]|/\(?"
_ABOVE = re.compile(rf"{_SIGN}|[ \u00a0\u202f](?=(?:{_UNIT})(?:\^\{{?\(?)?[-−⁻])")
_BELOW = re.compile(rf"{_SIGN}|\.(?=[^\W\d_])|(?=K|°C|[ash](?![^\W\d_]))")
"""Between units above and below the line: below it also a full stop, and nothing ("kWh/m².an", "W/m²K")."""
_GOES_ON = frozenset("^⁻_(\\")
_POWER_OF_TEN = re.compile(r"\^[-−]?\d{1,3}\Z|[⁰¹²³⁴-⁹]\Z")
_LONGEST_POWER, _MOST_FACTORS = 6, 8
_LENGTHS = frozenset("m km cm mm dm µm μm nm".split())
_RAISED = str.maketrans({figure: chr(raised) for raised, figure in RAISED.items()})

Factor = tuple[str, int]
"""A unit and its power."""


def compound_units(text: str) -> Iterator[tuple[int, int, str]]:
    """Each compound unit's place ``[start, end)`` after a number of ``text``, and its spelling.

    The spelling has "·" between units, raised figures for powers, and a "/" before each unit below the line.
    """
    end = 0
    for number in _AFTER_NUMBER.finditer(text):
        if number.start() < end:
            # Within the unit before
            continue
        first = number.end()
        end, factors = _read(text, first)
        if text[end : end + 1] == "/":
            # "mg/kg/day"
            continue
        if len(factors) == 1:
            ((unit, power),) = factors
            if power > 0 and not (power > 1 and unit in _LENGTHS):
                continue
        over = "·".join(_spelled(unit, power) for unit, power in factors if power > 0)
        under = "".join(f"/{_spelled(unit, -power)}" for unit, power in factors if power < 0)
        if factors:
            # "50 s⁻¹" is "50/s", but "10⁻¹⁸ s⁻¹" is "10⁻¹⁸ /s".
            raised = _POWER_OF_TEN.search(text, max(0, number.start() - _LONGEST_POWER), number.start())
            yield first if over or raised else number.start(), end, over + under


def measured_until(text: str, at: int) -> int:
    """The end of the compound unit, or the "/s", at ``at``; ``at`` where there is none."""
    below = text[at : at + 1] == "/"
    end, factors = _read(text, at + below)
    return end if len(factors) + below > 1 else at


def _spelled(unit: str, power: int) -> str:
    return unit + (str(power).translate(_RAISED) if power > 1 else "")


def _read(text: str, at: int) -> tuple[int, list[Factor]]:
    """The end of a unit, and its factors; none where another word is there."""
    read: list[Factor] = []
    end, factors = at, read
    below = bracket = False
    while len(read) < _MOST_FACTORS and (found := _FACTOR.match(text, at)) is not None:
        power = int((found["power"] or "1").strip("^{}()").translate(RAISED).replace("−", "-"))
        read = [*read, (found["unit"], -power if below else power)]
        at = found.end()
        if bracket and text[at : at + 1] == ")":
            at, bracket = at + 1, False
        if not bracket:
            end, factors = at, read
        sign = (_BELOW if below else _ABOVE).match(text, at)
        if sign is None:
            break
        below, bracket = below or "/" in sign[0], bracket or "(" in sign[0]
        at = sign.end()
    following = text[end : end + 1]
    goes_on = following in _GOES_ON or (following.isalnum() and not is_unspaced(following))
    return (end, [] if goes_on else factors)
