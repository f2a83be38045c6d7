"""Documents of the structures that other services document of their SSML, in sentences of our own.

The structures are those of W3C's recommendation and of the pages of Azure, Google and Amazon Polly.
"""

from __future__ import annotations

from typing import NamedTuple

AZURE_ROOT = (
    '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
    'xmlns:mstts="https://www.w3.org/2001/mstts" xml:lang="{language}">'
)

Spoken = list[str | float]
"""Spoken segments, and pauses in seconds."""


class Example(NamedTuple):
    """A document, its spoken form, and the names of its parts without effect."""

    text: str
    spoken: Spoken
    unused: list[str]
    language: str = "en-US"


def said(kind: str, content: str, form: str = "") -> str:
    """Return a ``<say-as>`` in a document of its own."""
    extra = f' format="{form}"' if form else ""
    return f'<speak><say-as interpret-as="{kind}"{extra}>{content}</say-as></speak>'


W3C = [
    Example(
        '<?xml version="1.0"?>\n<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis">\n'
        "<p>\n<s>You have two new letters.</s>\n<s>The first is from Anna Brown</s></p>\n</speak>",
        ["You have two new letters.", "The first is from Anna Brown."],
        [],
    ),
    Example("<speak>Take a breath <break/> and go on.</speak>", ["Take a breath", 0.75, "and go on."], []),
    Example('<speak>Press one <break time="3s"/> or wait.</speak>', ["Press one", 3.0, "or wait."], []),
    Example('<speak>No <break strength="none"/> rest here.</speak>', ["No rest here."], []),
    Example(
        '<speak><sub alias="World Wide Web Consortium">W3C</sub></speak>',
        ["World Wide Web Consortium"],
        [],
    ),
    Example(
        '<speak>It is <w role="noun">lead</w>, not <token>tin</token>.</speak>',
        ["It is lead, not tin."],
        [],
    ),
    Example(
        '<speak><lexicon uri="http://a.example/b.pls"/><lookup ref="b">Hello there.</lookup></speak>',
        ["Hello there."],
        ["ssml.lexicon", "ssml.lookup"],
    ),
    Example(
        '<speak><audio src="a.wav"><desc>a bell</desc>The bell rings.</audio></speak>',
        ["The bell rings."],
        ["ssml.audio", "ssml.desc"],
    ),
    Example(
        '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">'
        '<voice gender="female" languages="en-US" required="gender">Any woman may say this.</voice></speak>',
        ["Any woman may say this."],
        ["ssml.voice.gender", "ssml.voice.languages", "ssml.voice.required"],
    ),
    Example(
        '<speak>The new table costs <prosody rate="90%">forty dollars</prosody> today.</speak>',
        ["The new table costs", "forty dollars", "today."],
        [],
    ),
    Example(
        '<speak><prosody contour="(0%,+20Hz) (10%,+30%)">Good morning, my friends.</prosody></speak>',
        ["Good morning, my friends."],
        ["ssml.prosody.contour"],
    ),
    Example(
        '<speak>It is a <emphasis>large</emphasis> house with a <emphasis level="strong">very</emphasis> '
        "large garden.</speak>",
        ["It is a", "large", "house with a", "very", "large garden."],
        [],
    ),
    Example(
        '<speak>The letter from <lang xml:lang="fr-FR">Paris</lang> came this morning.</speak>',
        ["The letter from", "Paris", "came this morning."],
        [],
    ),
    Example(
        '<speak><meta name="author" content="Ana"/><metadata>a.rdf</metadata>The meeting is at noon.</speak>',
        ["The meeting is at noon."],
        ["ssml.meta", "ssml.metadata"],
    ),
]

AZURE = [
    Example(
        AZURE_ROOT.format(language="en-US")
        + '<voice name="en-US-AvaNeural"><mstts:express-as style="cheerful">It works!</mstts:express-as>'
        "</voice></speak>",
        ["It works!"],
        ["ssml.mstts:express-as"],
    ),
    Example(
        AZURE_ROOT.format(language="en-US") + '<mstts:silence type="Sentenceboundary" value="200ms"/>If so.'
        '<bookmark mark="flower"/></speak>',
        ["If so."],
        ["ssml.mstts:silence"],
    ),
    Example(said("address", "150th Ct"), ["one hundred fiftieth Ct"], ["ssml.say-as.address"]),
    Example(said("currency", "99.9 USD"), ["ninety-nine point nine dollars"], []),
    Example(said("date", "10-12-2016", "mdy"), ["October twelfth, twenty sixteen"], []),
    Example(said("time", "4:00am", "hms12"), ["four a m."], []),
    Example(said("telephone", "(888) 555-1212"), ["eight eight eight, five five five, one two one two"], []),
    Example(said("cardinal", "10"), ["ten"], []),
    Example(said("ordinal", "3rd"), ["third"], []),
    Example(said("spell-out", "test"), ["T E S T"], []),
    Example(
        AZURE_ROOT.format(language="en-US")
        + '<mstts:audioduration value="20s"/>The train leaves in an hour.</speak>',
        ["The train leaves in an hour."],
        ["ssml.mstts:audioduration"],
    ),
    Example(
        AZURE_ROOT.format(language="en-US")
        + '<prosody rate="+30.00%" pitch="high">Hurry, the bus is coming.</prosody></speak>',
        ["Hurry, the bus is coming."],
        [],
    ),
    Example(
        AZURE_ROOT.format(language="en-US") + 'Wait here.<break strength="weak"/>Now go on.</speak>',
        ["Wait here.", 0.5, "Now go on."],
        [],
    ),
    Example(
        '<speak>I would like a <phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme> salad.</speak>',
        ["I would like a tomato salad."],
        [],
    ),
]

GOOGLE = [
    Example(said("currency", "$42.01"), ["forty-two dollars and one cent"], []),
    Example(said("verbatim", "abcdefg"), ["A B C D, E F G"], []),
    Example(said("date", "1960-09-10", "yyyymmdd"), ["September tenth, nineteen sixty"], []),
    Example(said("date", "10-9-1960", "dmy"), ["September tenth, nineteen sixty"], []),
    Example(said("characters", "can"), ["C A N"], []),
    Example(said("cardinal", "12345"), ["twelve thousand three hundred forty-five"], []),
    Example(said("ordinal", "1"), ["first"], []),
    Example(said("fraction", "5+1/2"), ["five plus one over two"], ["ssml.say-as.fraction"]),
    Example(said("unit", "10 foot"), ["ten foot"], []),
    Example(said("time", "2:30pm", "hms12"), ["two thirty p m."], []),
    Example(said("telephone", "1800-202-1212"), ["one eight zero zero, two zero two, one two one two"], []),
    Example(
        '<speak>Go from <mark name="here"/> here, to <mark name="there"/> there!</speak>',
        ["Go from here, to there!"],
        [],
    ),
    Example(
        '<speak><par><media xml:id="a"><speak>One</speak></media></par></speak>',
        ["One."],
        ["ssml.par", "ssml.media"],
    ),
    Example(
        '<speak>That was a <say-as interpret-as="bleep">bad</say-as> idea.</speak>',
        ["That was a bad idea."],
        ["ssml.say-as.bleep"],
    ),
    Example(
        '<speak><prosody rate="slow" pitch="-2st">Can everyone hear me now?</prosody></speak>',
        ["Can everyone hear me now?"],
        [],
    ),
    Example(
        '<speak><seq><media><speak>First the news</speak></media><media begin="2s"><speak>Then the weather'
        "</speak></media></seq></speak>",
        ["First the news.", "Then the weather."],
        ["ssml.media", "ssml.seq"],
    ),
]

AMAZON = [
    Example(
        '<speak>I <amazon:effect name="whispered">like it</amazon:effect>.</speak>',
        ["I like it."],
        ["ssml.amazon:effect"],
    ),
    Example(said("digits", "90210"), ["nine zero two, one zero"], []),
    Example(said("number", "1999"), ["one thousand nine hundred ninety-nine"], []),
    Example(said("date", "9/10", "md"), ["September tenth"], []),
    Example(said("date", "2027", "y"), ["twenty twenty-seven"], []),
    Example(said("date", "20270910"), ["September tenth, twenty twenty-seven"], []),
    Example(said("unit", "5kg"), ["five kilograms"], []),
    Example(said("expletive", "darn"), ["darn"], ["ssml.say-as.expletive"]),
    Example(
        "<speak><amazon:auto-breaths>The mountain was higher than we thought.</amazon:auto-breaths></speak>",
        ["The mountain was higher than we thought."],
        ["ssml.amazon:auto-breaths"],
    ),
    Example(
        '<speak><prosody amazon:max-duration="2s">The film was too long for the evening.</prosody></speak>',
        ["The film was too long for the evening."],
        ["ssml.prosody.amazon:max-duration"],
    ),
    Example(
        '<speak><amazon:domain name="news">The museum opens again on Monday.</amazon:domain></speak>',
        ["The museum opens again on Monday."],
        ["ssml.amazon:domain"],
    ),
    Example(
        '<speak>I <w role="amazon:VBD">read</w> that book last year.</speak>',
        ["I read that book last year."],
        [],
    ),
]

OTHER_LANGUAGES = [
    Example(said("date", "3/2/2026", "dmy"), ["tres de febrero de dos mil veintiséis"], [], "es"),
    Example(said("characters", "ñB-7"), ["eñe be guion siete"], [], "es"),
    Example(said("telephone", "030 1234"), ["null drei null, eins zwei drei vier"], [], "de"),
    Example(said("cardinal", "1 234"), ["mille deux cent trente-quatre"], [], "fr"),
    Example(said("date", "2/3/2026", "mdy"), ["二零二六年二月三日"], [], "zh"),
    Example(said("characters", "A1"), ["A 一"], [], "zh"),
    Example(
        '<speak>他在<sub alias="万维网联盟">W3C</sub>工作了三年。</speak>',
        ["他在万维网联盟工作了三年。"],
        [],
        "zh",
    ),
    Example(said("ordinal", "3"), ["3"], [], "ru"),
]

SOURCES = {"W3C": W3C, "Azure": AZURE, "Google": GOOGLE, "Amazon": AMAZON, "other languages": OTHER_LANGUAGES}
