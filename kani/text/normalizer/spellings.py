"""Spellings of numbers that become others, which the rules know: "12 500€", "+/-3", "15:3=5"."""

from __future__ import annotations

import re
from collections.abc import Callable

from kani.text.normalizer.spelling_functions import (
    SPAN,
    characters,
    days_of_span,
    in_full,
    minutes_and_seconds,
    raised_numeral,
)
from kani.text.writing import RAISED

_SPACE = "[ \u00a0\u2009\u202f]"

_PER = tuple(zip("de en es fr it pt hi".split(), "pro per por pour per por प्रति".split(), strict=True))
_LITRE = "pro Liter,per liter,por litro,par litre,per litro,por litro,प्रति लीटर".split(",")
_APPLE_KEYS = (("⌘", "Cmd"), ("⇧", "Shift"), ("⌥", "Alt"), ("⌃", "Ctrl"))

_KILOMETRE = (
    "pro Kilometer,per kilometer,por kilómetro,par kilomètre,al chilometro,por quilômetro,प्रति किलोमीटर"
).split(",")

_PAIRED = (
    "(?:k?J|k?cal|k?VA|k?V|m?A|[kMG]?Hz|m?Ah|k?Wh|k?W|bar|psi|dB|[cm]m|kg|lbs?|oz|in|ft|°[CF]|Nm|lm|[KMGT]B)"
)
"""Units of two measures of one thing: "412 kJ/98 kcal"."""

_MEASURE = "(?:[kMGTmµn]?(?:Hz|V|W|A|g|Pa|B)|[kcm]?m|m?[lL]|°[CF]|%|min)"

_CLOCK = r"\d{1,2}(?:[.:]\d\d)?"

_STARRED = (
    r"h[oô]tel(?:s|es|esco)?|hot[eé]is|alberg\w{1,3}|auberge|hostal|pousada|resort"
    r"|rest(?:o|aurante?)|ristorante|un|um"
)
_OPEN = (
    r"(?:act|at|att)iv[oa]|abiert[oa]|abert[oa]|apert[oa]|ouverte?|cerrad[oa]|fechad[oa]|chius[oa]|fermée?"
    r"|horario|horário|orario|horaires?"
)
_HOUR = r"(\d{1,2}[:.h][0-5]\d)"
_FROM_TO = (("es", "de", "a"), ("fr", "de", "à"), ("it", "dalle", "alle"), ("pt", "das", "às"))

_CURRENCIES_NAMED = (
    ("en", "the|a|per|one", "euro dollar pound yen"),
    ("es", "el|la|al|del|un|una|cada|por", "euro dólar libra yen"),
    ("fr", "le|la|un|une|du|au|par|chaque", "euro dollar livre yen"),
    ("it", "il|lo|la|del|dal|al|un|una|per|ogni", "euro dollaro sterlina yen"),
    ("pt", "o|a|do|da|ao|um|uma|por|cada", "euro dólar libra iene"),
    ("de", "der|dem|den|des|ein|einen|pro|je", "Euro Dollar Pfund Yen"),
)

_COUNTED = (
    r"(?:h|min|s|km|kg|g|m|cm|mm|ml|l|L|€|%|°C|ans|jours|heures|mois|años|días|horas|meses|anni|giorni|ore|mesi"
    r"|anos|dias|Std\.?|Min\.?|Tagen?|Jahren?|Euro|euros?)(?![\w²³/])"
)
_COMPARED = (
    ("es", "menos de", "más de"),
    ("fr", "moins de", "plus de"),
    ("it", "meno di", "più di"),
    ("pt", "menos de", "mais de"),
    ("de", "weniger als", "mehr als"),
)

_WITH_ROMANS = (
    r"act|acto|acte|akt|atto|ato|sc(?:ene|\.)|esc(?:ena|\.)|szene|scena|cena|scène|canto|p{1,2}\.|págs?\.|pages?"
    r"|páginas?|pagine?|seiten?|vol\.|cap\.|chap(?:ter|\.)"
)
_SMALL_ROMAN = "(?:x{1,3}(?:ix|iv|v?i{1,3}|v)|ix|iv|vi{1,3}|i{2,3}|x{2,3})"
_NO_TICKER = "US|CA|AU|NZ|HK|SG|MX|HOME|PATH|PWD|SHELL|LANG|TERM|TMP"

_CHESS_PIECES = "KQRBNDTACFLS"
_CHESS_MOVE = rf"(?:[{_CHESS_PIECES}]?[a-h]?[1-8]?x?[a-h][1-8]|O-O(?:-O)?|0-0(?:-0)?)"

_NOTES = (
    ("en", "quarter note equals", "eighth note equals"),
    ("es", "negra igual a", "corchea igual a"),
    ("fr", "la noire à", "la croche à"),
    ("it", "semiminima uguale", "croma uguale"),
    ("pt", "semínima igual a", "colcheia igual a"),
    ("de", "Viertel gleich", "Achtel gleich"),
    ("zh", "四分音符等于", "八分音符等于"),
    ("ja", "四分音符は", "八分音符は"),
)
"""A crotchet's and a quaver's name before a tempo: "♩ = 132"."""

_EXTENSIONS = "Durchwahl", "extension", "extensión", "poste", "interno", "ramal"

Becomes = str | Callable[[re.Match[str]], str]

SPELLINGS: tuple[tuple[str, str, Becomes], ...] = (
    # Written apart or together for the rules above: hours, days of a list, parts of a house's number
    (
        "de en es fr it pt",
        r"(?i)\b(linien?|linea|linee|líneas?|linhas?|lignes?|lines?|bus(?:es|se)?|autobús|ônibus|tram|zimmer|rooms?|salles?|salas?|aule)"
        r" (\d{1,3})/(\d{1,3})/(\d{1,3})\b(?!/)",
        r"\1 \2, \3, \4",
    ),
    (
        "de en es fr it pt",
        r"(?<![\d/.])(1[3-9]|[2-9]\d|1\d\d)/(1[3-9]|[2-9]\d|1\d\d)/(\d{1,3})(?![\d/])",
        r"\1, \2, \3",
    ),
    ("de en es fr it pt", r"(\d ?(?:kW|PS|hp|CV|cv|ch))[/|](?=\d)", r"\1, "),
    ("", r"(?<![\d/])([-−–]?\d{1,2})/([-−–]?(?:[3-9]|\d\d))(?= ?(?:°|ºC))", r"\1, \2"),
    ("", r"#(?=\d{6,}\b)", "# "),
    ("de en es fr it pt hi", r"(?<=\d)[x×](?=[£$€₹]\d)", " x "),
    ("", r"(?<=NPK )(\d{1,2})[:-](\d{1,2})[:-](\d{1,2})(?![\d:])", r"\1, \2, \3"),
    ("", r"[≃≅](?= ?\d)", "≈"),
    ("de en es fr it pt", r"\b([a-z])=(\d[\d.,]*)(cm|mm|km|m|kg|g|s|V|A|W)\b", r"\1 = \2 \3"),
    ("", r"\b(\d{1,2})[-/](\d{1,2})[-/](\d{1,2})(?= K/?D|,? KDA\b)", r"\1, \2, \3"),
    *(
        (language, r"([£$€]\d[\d.,]*|\d ?€)/(?=\d+ ?(?:g|kg|ml|oz|l|L)\b)", rf"\1 {per} ")
        for language, per in _PER
    ),
    ("", r"(?<![\w.])\.(?=\d{2,3}[\"”″])|(?<=[<>=≤≥])\.(?=\d)", "0."),
    ("", r"(?<![\d/.])(\d{2,3})/(\d{1,3})/(\d)(?![\d/]|\.\d)", r"\1, \2, \3"),
    ("", r"<(i|b|u|em|strong)>([^<>]{1,300})</\1>", r" \2 "),
    ("", r"(?<=[\d%kKM])→(?=[$€£])", " → "),
    ("", r"([$£€]\d[\d.,]*[kKMB]?)\+(?![\w+])", r"\1 +"),
    ("de en es fr it pt", r"\b([LCTS]\d{1,2})[-–](?=\d{1,2}\b)", r"\1, "),
    ("de fr", r"\b([A-ZÄÖÜ])\.-([A-ZÄÖÜ])\.(?= ?[A-ZÄÖÜ])", r"\1. \2."),
    ("", r"(?<=\()([a-z]) - (?=\d+\))", r"\1 − "),
    # "12 500€", "10 000-15 000", "1/50 000": a number in groups that more is joined to, as one word
    (
        "de en es fr it pt hi ar",
        rf"(?<![\d.,/:'-])[1-9]\d{{0,2}}(?:{_SPACE}\d{{3}})+"
        rf"(?=(?:[.,]\d{{1,2}})?(?:[€$£¥₹%‰°]|[-–][1-9]|[kK]?[mg][²³23]?\b|km/h|/[^\W\d_]))"
        rf"|(?<=\d{{3}}[-–])[1-9]\d{{0,2}}(?:{_SPACE}\d{{3}})+(?!\d)|(?<=\b1/)[1-9]\d{{1,2}}(?:{_SPACE}\d{{3}})+(?!\d)",
        "",
    ),
    ("", r"\+/[-−–](?= ?\d)", "±"),
    # Signs between the parts of an address at the end of a letter
    ("", r"(?<=[:.;,!?]) [•●▪◦‣] ", " "),
    ("", r"(?<=\S) [•●▪◦‣] (?=\S)", ", "),
    ("", r" · (?=[^\W\d_])|(?<=[^\W\d_]) · |(?<=[^\W\d_]\.) · ", ", "),
    # A division and a product of an equation
    ("", r"(?<=\d)(\s?):(\s?\d[\d.,]*\s?=\s?[\dx?_-])", r"\1÷\2"),
    ("", r"(?<=\d)·(?=\d[\d.,]*\s?=|10[⁻⁰¹²³⁴-⁹^])", "×"),
    # "~ 40", but "π ≈ 3"; "needs ≥ 2", but "x ≥ 2"; ">=3"
    ("", r"(?:^|(?<=[^\W\d_][^\W\d_] )|(?<=[,.:;(] )|(?<=[(]))[~≈] ?(?=\d|(?:R|US|C|A)?[€$£¥₹])", "~"),
    (
        "de en es fr it pt",
        r"(?:^|(?<=[(,:] )|(?<=[(])|(?<=[^\W\d_]{3} ))>= ?(?=\d)|(?<=[^\W\d_]{3} )≥ (?=\d)",
        "≥",
    ),
    (
        "de en es fr it pt",
        r"(?:^|(?<=[(,:] )|(?<=[(])|(?<=[^\W\d_]{3} ))<= ?(?=\d)|(?<=[^\W\d_]{3} )≤ (?=\d)",
        "≤",
    ),
    (
        "de en es fr it pt hi",
        rf"(\d ?{_MEASURE})[–-](?=\d[\d.,]* ?{_MEASURE}(?!\w))",
        r"\1 – ",
    ),
    ("de en es fr it pt hi", r"([€$£₹]\d[\d.,]*)/(?=[€$£₹]\d)", r"\1, "),
    ("de en es fr it pt", r"(?<=\d) × (?=\d[\d.,]* ?(?:mm|cm|m|km|in|ft|px|yd)\b)", " x "),
    # A parcel's number, digits of an extension, minutes between trains
    (
        "",
        r"(?<![A-Za-z])([A-Z]{2}) ?(\d{3}) (?!000)(\d{3})(?: (\d{3}))? ?((?!KM)[A-Z]{2})(?![A-Za-z\d])",
        r"\1\2\3\4\5",
    ),
    ("", r"(?<![A-Za-z])([A-Z]{2}) ?(\d{4}) (\d{4})(?: (\d{3,4}|\d?[A-Z]{2}))?(?!\w| \d)", r"\1\2\3\4"),
    (
        "de es fr it pt",
        rf"(\b{_CLOCK}[-–]{_CLOCK} ?/ ?{_CLOCK}[-–]\d{{1,2}})\.(?=[0-5]\d\b)",
        r"\1:",
    ),
    # "2h19'04''" and a gap of it, "+0:08", stars of a hotel, "paso de V-", hours of opening
    ("", r"(?<=\d['’′][0-5]\d)(?:''|’’|′′)", '"'),
    ("es fr it pt", r"(\d['’′][0-5]\d[\"”″][^\n]{0,60} [aà] \d{1,2})(?:''|[\"”″])(?!\w)", r"\1 s"),
    (
        "de en es fr it pt",
        r"(\b[aà] )?(?<!UTC )(?<!GMT )(?<![\w+])\+([1-5]?\d):([0-5]\d)(?![\d:])",
        minutes_and_seconds,
    ),
    ("", rf"(?i)(\b(?:{_STARRED})(?: [^\W\d_]{{2,12}}){{0,2}} [1-5])\*(?![\w*])", r"\1⋆"),
    ("", r"(?<![\w*])([1-5])\*(?= [Hh][oô]tel)", r"\1⋆"),
    ("es fr it pt", r"(\b(?:d[eiu]|un|[ye]|et)|,) (I{2,3}|IV|VI{0,3})-(?=[\s,.;)]|$)", r"\1 \2−"),
    *(
        (
            language,
            rf"(?i)(\b(?:{_OPEN}):?) {_HOUR} ?[–-] ?{_HOUR}(?![\d.,:/]\d| ?[€%])",
            rf"\1 {begin} \2 {end} \3",
        )
        for language, begin, end in _FROM_TO
    ),
    # "12.500 $ USD", "3e/28", "9-13/15-19"
    ("de en es fr it pt", r"\$ (?=(?:USD|CAD|AUD|MXN|ARS|COP|CLP)\b)", ""),
    *(
        (language, r"(?:(?<=[2-9])|(?<=\d\d))(\.?[ºª°]|e|ème)/(?=\d{1,3}\b(?![°º]))", rf"\1 {of} ")
        for language, of in (("es", "de"), ("fr", "sur"), ("it", "su"), ("pt", "de"))
    ),
    (
        "de en es fr it pt",
        r"\b([01]?\d[-–](?:1\d|2[0-4]|\d))/(?=(?:1\d|2[0-3])(?:[.:]\d\d)?[-–](?:1\d|2[0-4])\b)",
        r"\1, ",
    ),
    ("", r"(= ?(?!N/A)[A-Za-z]) ?/ ?(?=[A-Za-z]\b(?!/))", r"\1 ÷ "),
    ("de en es fr it pt", r"\b([ABCDEK]\d{1,2}) (?=\d{3,}\b)", r"\1, "),
    ("de en es fr it pt", r"\b([48])K/(?=\d\d ?(?:fps|Hz|p)\b)", r"\1K, "),
    # "1/2/3", no date; "min. 12'" and "(12', 78')" of goals; the colour of light
    (
        "de en es fr it pt",
        r"(?<![\d/.])(\d{1,2})/(\d{1,2})/(\d)(?![\d/])|(?<![\d/.,])(\d{1,3})/(3[2-9]|[4-9]\d|\d{3})/(\d{1,3})(?![\d/])",
        r"\1\4, \2\5, \3\6",
    ),
    ("de es fr it pt", r"(\b[mM]in\.? )(\d{1,3})['’′](?!\d)", r"\1\2"),
    # Listings: times at the head of a line, hours of opening, halves of a point at chess, yarn
    (
        "de es fr it pt",
        r"(?m)^([01]\d|2[0-3])\.([0-5]\d) (?=[«\"“]?[^\W\d_a-zß-öø-ÿ])"
        r"(?!Euro|EUR|CHF|USD|Uhr|Mi[ol]|Prozent|Meter|[A-Z]{1,3}\b(?!\d))",
        r"\1:\2 ",
    ),
    ("", r"(?<![\d½/])(½|1/2) ?[-–] ?(?:½|1/2)(?![\d½/]| ?[^\W\d_])", r"\1, \1"),
    *(
        (language, r"(\d ?m)/(?=\d{2,3} ?g\b)|(\d ?g)/(?=\d{2,3} ?m\b)", rf"\1\2 {per} ")
        for language, per in _PER
    ),
    # Sides of what is measured, and a diameter
    ("de en es fr it pt hi ar", r"(\d(?:[cmk]?m|ft|in|[\"”″'’′]))[xX×](?=\d)", r"\1 x "),
    ("de en es fr it pt hi", r"(?<=\d)X(?=[1-9])", "x"),
    ("de en es fr it pt", r"(\d(?: UN| KG)?) X (?=\d{1,4}[.,]\d\d\b)", r"\1 x "),
    ("de en es fr it pt", r"([Øø⌀])(?=\d)", "Ø "),
    *(("", rf"{sign} ?\+? ?(?=[^\W_a-z]|[⌘⇧⌥⌃])", f"{key}+") for sign, key in _APPLE_KEYS),
    *(("", sign, key) for sign, key in _APPLE_KEYS),
    ("de en es fr it pt hi", r"\b(12|24|36|48)/(24|36|48|72)(?=h\b)", r"\1/\2 "),
    # "230 V/50 Hz", "2.4/5 GHz", "110/220V", "1.900 min⁻¹", "g CO2/km", isotopes
    ("de en es fr it pt hi", rf"(\d ?{_PAIRED}) ?/ ?(?=(?!100?\b)\d[\d.,]* ?{_PAIRED}(?![\w/]))", r"\1, "),
    ("", r"(?<![\d/.,])(\d{1,3}[.,]\d)/(\d{1,2}(?:[.,]\d)?)(?= ?[kMG]?Hz\b)", r"\1, \2"),
    *(
        (language, r"\b(CO[2₂])/km\b", rf"\1 {kilometre}")
        for (language, _), kilometre in zip(_PER, _KILOMETRE, strict=True)
    ),
    (
        "",
        r"(?<![\w⁰-⁹])([²³](?=H)|[⁰¹²³⁴-⁹]{2,3})(Cs|Sr|[HCNOPKIU])(?![a-z])",
        lambda isotope: f"{isotope[2]} {isotope[1].translate(RAISED)}",
    ),
    ("de en es fr it pt", r"\b(\d\d)/(0\d{3,5})/([A-Z]{2,4})\b", r"\1, \2, \3"),
    ("", r"(?<=\b\d{3})/(?=\d{3}[vV]\b)", ", "),
    # "max. 31°/min. 18°", "1,78 m/80 kg", "c/asc.", "x7d"
    ("de en es fr it pt", r"(?i)(\d ?°[CF]?) ?/ ?(?=m[iíaá][nx](?:[.a-zí]|:? \d))", r"\1, "),
    ("de en es fr it pt", r"(\d[.,]\d{1,2} ?m)/(?=\d{2,3} ?kg\b)", r"\1, "),
    ("es it pt", r"(?i)(?<![\w/])([cs]/)(?=[a-zà-ú]{2,8}\.)", r"\1 "),
    # "fianza 2 m.", "bail 12 m", "2 m. caução"
    *(
        (
            language,
            rf"(?i)(\b(?:{named})(?: m[aáà]x\.?)?(?: de| a| ?:)? \d{{1,2}}"
            rf"|\b\d(?= ?m\. (?:de )?(?:{named})\b)) ?m(?:\.(?= ?[^\W_]|[,;)])|\b)(?![²2/])",
            rf"\1 {months}",
        )
        for language, named, months in (
            ("es", "plazo|eur[ií]bor|fianza|contrato|aval|permanencia", "meses"),
            ("pt", r"prazo|euribor|caução|contrato|contr\.|fiança|fidelidade|vigência", "meses"),
            ("fr", "bail|euribor|dépôt|caution|DG|garantie|engagement|durée", "mois"),
            ("it", r"durata|euribor|cauzione|contratto|contr\.|cauz\.|deposito", "mesi"),
        )
    ),
    # "4/6 pers.", "v. 2.4.1", "2½ : 1½"
    ("de en es fr it pt", r"(?<![\d/,.])([2-9])/([3-9]|1\d)(?= ?[Pp]ers(?:\b|on))", r"\1-\2"),
    ("de en es fr it pt", r"\b[vV]\. ?(?=\d+(?:\.\d+){2})", "v"),
    # "7.2 x10^9/L"
    *(
        (language, r"(?<=\d) ?[x×*] ?10(?:\^(\d{1,2})|([⁶⁹]|¹²))/[lL]\b", rf"×10^\1\2 {litre}")
        for (language, _), litre in zip(_PER, _LITRE, strict=True)
    ),
    # "195/65R15", "50k+", "850 € / mes", "-R$ 50", "R$ -50"
    ("de en es fr it pt hi", r"\b(\d{3})/(\d\d) ?(?=Z?R\d\d\b)", r"\1 \2 "),
    ("de en es fr it pt hi", r"(?<=\d[kKM])\+(?![\w+])", " +"),
    ("de en es fr it pt hi", r"(?<=[€$£₹]) / (?=[^\W\d_])", "/"),
    ("", r"(?<=[-−]R\$) (?=\d)|(?<=R\$) (?=[-−]\d)|(?<=[-−][€$£₹]) (?=\d)", ""),
    # Prices of several kinds of tickets
    (
        "de en es fr it pt hi",
        r"(?<![\d/.,])(\d{1,3})/(\d{1,3})/(\d{1,3})(?= ?(?:€|[Ee]uros?\b))",
        r"\1, \2, \3",
    ),
    (
        "de en es fr it pt hi",
        r"(?<![\d/.,])(?!1/2)(\d{1,3}(?:[. ]\d{3})?)/(\d{1,3}(?:[. ]\d{3})?)(?= ?(?:€|[Ee]uros?\b))",
        r"\1, \2",
    ),
    (
        "de es fr it pt",
        r"(?<![\d.,€$£])\b([01]?\d|2[0-3])\.([0-5]\d)/"
        r"(?=(?:[01]?\d|2[0-3])\.[0-5]\d(?! ?(?:€|[Ee]ur|CHF)|[.,]?\d))",
        r"\1.\2-",
    ),
    (
        "es fr it pt",
        r"(?i)(\b(?:mid[eo]|mes?de|medía|mesure|misura|alt[oa]|estatura|altura|taille|altezza)\D{0,12}[12]),"
        r"(\d\d) ?m\b(?![²³/2])",
        r"\1m\2",
    ),
    ("es fr it pt", r"\b([12]),(\d\d) ?m(?= d[ei] (?:al|haut)|, \d{2,3} ?kg| [ey]t? p[eè]s)", r"\1m\2"),
    ("it pt", r"\b([0-2])m(\d\d)\b", r"\1 m e \2"),
    # "12 g/100 g"
    *(
        (language, r"(?<=\d)( ?(?:k?g|mg|k?cal|kJ|kWh))/100 ?(?=g\b|ml\b|km\b)", rf"\1 {per} 100 ")
        for language, per in _PER
    ),
    (
        "",
        rf"(?<![\d/.,])(\d{{1,2}}/\d{{1,2}}){_SPACE}[–—-]{_SPACE}(\d{{1,2}}/\d{{1,2}})(?![\d/.,]\d)",
        r"\1–\2",
    ),
    ("de", rf"\b([0-3]?\d\.[01]?\d\.){_SPACE}[–—-]{_SPACE}([0-3]?\d\.[01]?\d\.)", r"\1–\2"),
    ("en es fr it pt", SPAN, days_of_span),
    ("hi", r"()(\d{1,2})/(\d{1,2}) से (\d{1,2})/(\d{1,2})(?= (?:तक|को|हो|कर|बंद|खुल|चल))", days_of_span),
    # The sets of a match
    *(
        (
            language,
            r"(?i)(\b(?:parcia\w+|parzial\w+|sätzen?|satz|placar|marcador|punteggio|remport\w+|score)"
            r"(?: d[ei]| von)?:? )"
            r"((?:(?:\d{1,2}/(?:1[5-9]|[2-4]\d)|(?:1[5-9]|[2-4]\d)/\d{1,2})\b(?:, | y | et? | und )?)+)",
            lambda sets, to=to: sets[1] + sets[2].replace("/", f" {to} "),
        )
        for language, to in (("es", "a"), ("fr", "à"), ("it", "a"), ("pt", "a"), ("de", "zu"))
    ),
    # "l'€", "el $": the currency itself
    *(
        (
            language,
            rf"(?i)(\b(?:{articles}) |\b[ld]['’]){re.escape(sign)}(?= ?[^\W\d_]| ?[,.;:!?)]|$)",
            rf"\1{name}",
        )
        for language, articles, names in _CURRENCIES_NAMED
        for sign, name in zip("€$£¥", names.split(), strict=True)
    ),
    # "$87.4K"
    ("zh ja", r"([$€£¥￥])(\d{1,4}(?:\.\d{1,3})?)([KMB])(?![A-Za-z])", in_full),
    # "Table 4-1" is one table, "Tables 4-6" are three.
    (
        "de en es fr it pt",
        r"\b((?:Table|Figure|Fig|Exhibit|Tabla|Figura|Tableau|Tabelle|Abbildung|Abb|Tabella|Tabela)\.?"
        r" \d{1,2})-(?=\d{1,2}\b)",
        r"\1, ",
    ),
    # "T(°C)"
    ("", r"\b([A-Za-z]{1,12})\((?=(?:°[CF]|m/s|km/h|kPa|m[LlgmVA]|kg|[ck]m|Hz)\))", r"\1 ("),
    # "450/ración", "15/30 plazas", "NaOH 0,1 M"
    *(
        (
            language,
            rf"(?<=\d)(?: ?k?cal)?/(?=(?:{portions})\b(?!/))",
            lambda found, per=per: f"{found[0][:-1]} {per} ",
        )
        for language, per, portions in (
            ("es", "por", "raci[oó]n|porci[oó]n|persona|plato|envase|unidad|pieza"),
            ("fr", "par", "portion|part|personne|pièce"),
            ("it", "per", "porzione|persona|pezzo"),
            ("pt", "por", "porção|pessoa|prato|unidade"),
            ("de", "pro", "Portion|Person|Stück"),
        )
    ),
    *(
        (language, rf"(?<![\d/.,])([1-9]\d{{0,3}})/(\d{{1,4}})(?= (?:{places})\b)", rf"\1 {of} \2")
        for language, of, places in (
            ("es", "de", "plazas|asientos|camas|entradas|puestos"),
            ("en", "of", "seats|spots|places|beds|tickets"),
            ("fr", "sur", "places|sièges|lits"),
            ("it", "su", "posti|letti|biglietti"),
            ("pt", "de", "vagas|lugares|assentos|leitos"),
            ("de", "von", "Plätzen?|Betten|Karten"),
        )
    ),
    (
        "de en es fr it pt",
        r"(\b(?:NaOH|KOH|HCl|H[2₂]SO[4₄]|HNO[3₃]|NaCl|KCl|CaCl[2₂]|NH[3₃]|AgNO[3₃]|KMnO[4₄]|EDTA|Tris)"
        r" \d{1,2}(?:[.,]\d{1,3})?) ?M\b",
        r"\1 molar",
    ),
    # "1€20"
    ("de es fr it pt", r"\b(\d{1,4})([€£$])(\d\d)\b", r"\1,\3 \2"),
    # A processor, a card and its memory, the class of a tyre, "12 III 1956", "+850/-620 m", "230 V~ 50 Hz"
    ("de en es fr it pt hi", r"\b(i[3579])-(?=\d{4,5}\b)", r"\1 "),
    ("de en es fr it pt hi", r"(?<=[A-Z] \d{4}) (?=\d{1,3} ?[GT][Bo]\b)", ", "),
    ("", r"(?<![\d/.,])(\d{1,3})/(\d{2,4})(?= ?[GT](?:B|o|iB)\b)", r"\1, \2"),
    ("de en es fr it pt hi", r"(\bR\d\d) (\d{2,3})([HQSTVWY])\b", r"\1 \2, \3"),
    ("de en es fr it pt", r"(?<![\d.,])(\d{1,2}) ([IVX]{1,4}) (?=(?:1\d|20)\d\d\b)", r"\1-\2-"),
    ("de en es fr it pt", r"(?<=\d)/(?=[-−+]\d)", ", "),
    ("", r"(?<=\d) ?V ?[~∼≈](?= )", " V"),
    # Moves of chess, with the move's number and a judgement
    ("de en es fr it pt", rf"\b(\d{{1,2}})\.{{1,3}} ?(?={_CHESS_MOVE}[+#!?]*(?![\w.]\w))", r"\1 "),
    (
        "de en es fr it pt",
        rf"\b([{_CHESS_PIECES}][a-h]?[1-8]?x?[a-h][1-8][+#]?)[!?]{{1,2}}(?=[\s,.;)]|$)",
        r"\1",
    ),
    # Sets of exercises, syllables, verses
    ("de en es fr it pt", r"\b(\d{1,2})x(\d{1,2})[-–](\d{1,2})\b(?![-.,]?\d| ?[cmk]?m\b)", r"\1 x \2–\3"),
    ("", r"\b[^\W\d_]{2,}(?:·[^\W\d_]+){2,}\b", lambda found: found[0].replace("·", "")),
    (
        "de es fr it pt",
        r"\b(Luc?k?as?|Luc|Matt?eo|Mateus|Marcos?|Giovanni|Juan|João) (\d{1,2}),\s?(\d{1,2}[-–]\d{1,2})\b",
        r"\1 \2:\3",
    ),
    *((language, r"(?<=/min)/(?=1[.,]73 ?m)", f" {per} ") for language, per in _PER),
    ("", r"\b(CN|JP)¥ ?(?=\d)", lambda found: {"CN": "CNY ", "JP": "JPY "}[found[1]]),
    # Phones with an extension, without spaces, or in groups after full stops
    ("", r"(\(\d{3}\))(?=\d{3}-\d{4})", r"\1 "),
    *(
        (language, r"(?<=\d{3}-\d{4}) ?x ?(?=\d{2,6}\b)", f", {extension} ")
        for language, extension in zip("de en es fr it pt".split(), _EXTENSIONS, strict=True)
    ),
    ("", r"\+(3[0-469]|4[0-9]|5[1-8])(\d{2,3})(?= \d{2,3} \d{2})", r"+\1 \2"),
    ("es fr it pt de", r"(?<![\d.,])(\d{3})\.(\d{3})\.(\d{4})(?![.,]?\d)", r"\1-\2-\3"),
    # Units of two words, pressures
    ("en", r"\b(\d{2,3})/(\d{2,3})(?= ?mm ?Hg)", r"\1 over \2"),
    ("de", r"\b(\d{2,3})/(\d{2,3})(?= ?mm ?Hg)", r"\1 zu \2"),
    ("zh ja", r"(?<!\d)(\d{2,3})/(\d{2,3})(?= ?mm ?Hg)", r"\1、\2"),
    ("", r"(?<=\d)( ?)[lL]/100 ?km\b", r"\1l/100 km"),
    ("", r"(?<=\d )(mm|in) Hg\b", r"\1Hg"),
    ("", r"(?<=\d )fl\.? ?oz\b", "floz"),
    ("", r"(?<=\d )oz\.? ?t\b", "ozt"),
    ("", r"(?<=\d )lbf?[⋅· -]ft\b", "lb-ft"),
    ("", r"\bdB ?\(A\)", "dB A"),
    # A number of insurance, a type of aircraft
    ("", r"(?<![\d/])(\d\d)/(\d{7,10})/(\d\d)(?![\d/])", r"\1, \2, \3"),
    ("de en es fr it pt", r"\b([A-Z]\d{3})-(?=\d{3}\b)", r"\1 "),
    # "2024-06-05T14:30:00Z"
    ("", r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d{1,9})?)?Z\b", r"\1, \2 UTC"),
    ("", r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d{1,9})?)?(?=[+−-]\d\d)", r"\1, \2 UTC"),
    ("", r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d{1,9})?)?\b", r"\1, \2"),
    ("", r"\b(UTC|GMT)([+−-])0?(\d{1,2}):00\b", r"\1\2\3"),
    # "duerme <6 h"
    *(
        (language, rf"(?<=[a-zà-ú]{{3}} ){sign}(?= ?\d[\d.,]* ?{_COUNTED})", f"{words} ")
        for language, less, more in _COMPARED
        for sign, words in (("<", less), (">", more))
    ),
    # "pp. v–xii", "Act II, scene iii"
    (
        "de en es fr it pt",
        rf"(\b(?i:{_WITH_ROMANS}) )((?:{_SMALL_ROMAN}|[ivx](?=[-–]))(?:[-–][xvi]{{1,6}})?)\b",
        raised_numeral,
    ),
    # Identifiers and colours of programs, tickers
    ("", r"(?i)\b([\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12})\b", characters),
    (
        "",
        r"(?<!\w)#(?=[\dA-Fa-f]{0,5}\d)(?=[\dA-Fa-f]{0,5}[A-Fa-f])([\dA-Fa-f]{6})\b",
        characters,
    ),
    ("de en es fr it pt hi", rf"(?<![\w$])\$(?!{_NO_TICKER})([A-Z]{{2,5}})\b(?! ?\d)", characters),
    # "2014/79/EU", "(EU) 2016/679", "1926 -1930", a note's number at the end of a sentence
    ("", r"\b((?:19|20)\d\d)/(\d{1,4})/(EU|UE|EG|CE|EC|EWG|CEE)\b", r"\1, \2, \3"),
    (
        "de en fr",
        r"(\((?:EU|UE|EG|CE|EC)\) (?:Nr\. |n\.º |n° |n\. |No )?(?:19|20)\d\d)/(?=\d{1,4}\b)",
        r"\1, ",
    ),
    ("", r"(?<![\d.,-])((?:1\d|20)\d\d) [-–]((?:1\d|20)\d\d)(?![\d.,])", r"\1–\2"),
    ("de en es fr it pt", r"([a-zà-ÿß]{5}[)”\"]?[.!?])\d{1,3}(?=\s+[\"“„«(]?[A-ZÀ-ÖØ-Þ]|\s*$)", r"\1"),
    # The number of an issue, "24/365", "ISBN-13:", "9,99 € /l"
    (
        "de en es fr it pt",
        r"(?i)(\b(?:ausgabe|heft|issue|edi[çc](?:ão|ión)|édition) \d{1,3})"
        r"/(?=(?:19|20)\d\d\b)",
        r"\1, ",
    ),
    ("", r"\b24/365\b", "24, 365"),
    ("", r"\bISBN-1[03]:? ?(?=\d)", "ISBN "),
    ("", r"(?<=ISBN )(97[89])-(?=\d{10}\b)", r"\1"),
    ("", r"(?<=[€$£]) /(?=[^\W\d_])", "/"),
    # Times of subtitles
    ("", r"(?m)^\d\d:\d\d:\d\d[,.]\d{3} --> \d\d:\d\d:\d\d[,.]\d{3}.{0,40}$", " "),
    # Minutes and seconds of arc, an arrival on the next day, "12 V / 4 Ω =", "$45/h x 40 h"
    (
        "",
        r"(?<![NSEWO] )(?<![NSEWO\d])(\d{1,3})° ?(\d{1,2})['’′] ?(\d{1,2}(?:[.,]\d+)?)[\"”″](?! ?[NSEWO]\b)",
        r"\1° \2 min \3 s",
    ),
    ("", r"(?<![\d:])(\d{1,2}[:h][0-5]\d)\+(?=[12](?!\d))", r"\1 +"),
    ("", rf"(\d ?{_PAIRED}) / (?=\d[\d.,]* ?(?:{_PAIRED}|k?Ω|ohms?|s|h) ?[=≈])", r"\1 ÷ "),
    (
        "de en es fr it pt",
        r"(/(?:[hd]|hr|hour|wk|mo|día|mes|jour|mois|giorno|mese|dia|mês|Std\.?|Tag)) [xX] (?=\d)",
        r"\1 × ",
    ),
    # "mL/kg/24h"
    ("", r"(?<=/kg)/24 ?h(?:rs?)?\b", "/d"),
    # "24/7/365", "TL;DR", the code of a bank, "BTC 43.200 $", a person's height
    ("", r"\b24/7/365\b", "24/7, 365"),
    ("", r"\bTL;DR\b", "TLDR"),
    (
        "de en es fr it pt hi",
        r"(\b(?:BIC|SWIFT)[: ] ?)([A-Z]{6}[A-Z\d]{2}(?:[A-Z\d]{3})?)\b",
        lambda code: code[1] + " ".join(code[2]),
    ),
    ("", r"\b(BTC|ETH)(?= \d[\d. ]*(?:,\d+)? ?[$€£])", r"\1:"),
)
"""Languages ("" for all), what is written there, and what it becomes: a template, a function, or "" to
leave out spaces and hyphens."""
