"""The ids by which ElevenLabs' clients name a voice, and which of ours answers to each.

Our own ids stand as they are. ElevenLabs' well-known voices each speak every language; ours speak one. So
such an id names a sex at most: where the request tells its language, a voice of that sex speaks, else the
default voice of whatever language the text is in, as if no voice had been named.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from protocols.elevenlabs.settings import ElevenLabsSettings
from speech.errors import InvalidRequest, UnknownVoice
from speech.service import SpeechService
from speech.text.languages import primary
from speech.voices.catalogue import DEFAULT_VOICE
from speech.voices.store import CUSTOM_PREFIX, StoredVoice

ACCOUNT_PREFIX = "elevenlabs:"
"""How the ids of voices begin that ElevenLabs' own service speaks."""

MAX_ID_LENGTH = 200
"""Characters of an id; what is longer is no voice's."""


@dataclass(frozen=True, slots=True)
class PremadeVoice:
    """One of ElevenLabs' own voices: what it is called there, and what it sounds like."""

    name: str
    gender: Literal["female", "male", ""]


_WOMEN = """
21m00Tcm4TlvDq8ikWAM Rachel
9BWtsMINqrJLrRacOk9x Aria
AZnzlk1XvdvUeBnXmlld Domi
EXAVITQu4vr4xnSDxMaL Sarah
FGY2WhTYpPnrIDTdsKH5 Laura
LcfcDJNUP1GQjkzn1xUU Emily
MF3mGyEYCl7XYWbV9V6O Elli
ThT5KcBeYPX3keUQqHPh Dorothy
XB0fDUnXU5powFXDhCwa Charlotte
Xb7hH8MSUJpSbSDYk0k2 Alice
XrExE9yKIg1WjnnlVkGX Matilda
cgSgspJ2msm6clMCkdW9 Jessica
hpp4J3VqNfWAUOO0d1Us Bella
jBpfuIE2acCO8z3wKNLl Gigi
jsCqWAovK2LkecY7zXl4 Freya
oWAxZDx7w5VEj9dCyTzz Grace
pFZP5JQG7iQjIQuC4Bku Lily
pMsXgVXv3BLzUgSXRplE Serena
piTKgcLEGmPE4e6mEKli Nicole
z9fAnlkpzviPz146aGWa Glinda
zrHiDhphv9ZnVXBqCLjz Mimi
"""
_MEN = """
29vD33N1CtxCmqQRPOHJ Drew
5Q0t7uMcjvnagumLfvZi Paul
CYw3kZ02Hs0563khs1Fj Dave
CwhRBWXzGAHq8TQ4Fs17 Roger
D38z5RcWu1voky8WS1ja Fin
ErXwobaYiN019PkySvjV Antoni
GBv7mTt0atIp3Br8iCZE Thomas
IKne3meq5aSn9XLyUdCD Charlie
JBFqnCBsd6RMkjVDRZzb George
N2lVS1w4EtoT3dr4eOWO Callum
ODq5zmih8GrVes37Dizd Patrick
SOYHLrjzK2X1ezoPC6cr Harry
TX3LPaxmHKxFdv7VOQHJ Liam
TxGEqnHWrfWFTfGW9XjX Josh
VR6AewLTigWG4xSOukaG Arnold
ZQe5CZNOzWyzPSCn5a3c James
Zlb1dXrM653N07WRdFW3 Joseph
bIHbv24MWmeRgasZH58o Will
bVMeCyTHy58xNoL34h3p Jeremy
cjVigY5qzO86Huf0OWal Eric
flq6f7yk4E4fJM5XTYuZ Michael
g5CIjZEefAph4nQFvHAz Ethan
iP95p4xoKVk53GoZ742B Chris
nPczCjzI2devNBz1zQrb Brian
onwK4e9ZLuTAKqWW03F9 Daniel
pNInz6obpgDQGcFmaJgB Adam
pqHfZKP75CvOlQylNhV4 Bill
wViXBPUzp2ZZixB1xQuM Ryan
yoZ06aMxZJJ28mfd3POQ Sam
zcAOhNBS3c14rBihAFp1 Giovanni
"""


def _named(lines: str, gender: Literal["female", "male"]) -> dict[str, PremadeVoice]:
    rows = (line.split() for line in lines.strip().splitlines())
    return {voice_id: PremadeVoice(name, gender) for voice_id, name in rows}


PREMADE_VOICES = {
    **_named(_WOMEN, "female"),
    **_named(_MEN, "male"),
    "SAz9YHcvj6GT2YYXdXww": PremadeVoice("River", ""),
}
"""ElevenLabs' own voices by their ids, as its documentation and its clients' defaults name them."""


def resolve_voice(
    service: SpeechService, voice_id: str, settings: ElevenLabsSettings, language: str | None = None
) -> str | None:
    """Our voice that answers to ``voice_id``; None is the default voice of the text's language.

    language: a BCP 47 tag, if the request says one. Reads a file where a kept voice is named. Raises
    UnknownVoice.
    """
    if len(voice_id) > MAX_ID_LENGTH:
        raise UnknownVoice(voice_id[:MAX_ID_LENGTH] + "…")
    named = settings.voices.get(voice_id, voice_id)
    # A kept voice may be named without its prefix, and so may the account's where ElevenLabs itself speaks.
    # ElevenLabs' own ids mean its voices, whatever is kept under such a name.
    kept = () if named in PREMADE_VOICES else (CUSTOM_PREFIX + named,)
    for ours in (named, *kept, ACCOUNT_PREFIX + named):
        with suppress(UnknownVoice):
            service.catalogue.language_of(ours)
            return ours if ours != DEFAULT_VOICE else None
    premade = PREMADE_VOICES.get(named)
    if premade is None:
        raise UnknownVoice(voice_id)
    return _alike(service, premade, language) if language is not None else None


def resolve_stored_voice(service: SpeechService, voice_id: str, settings: ElevenLabsSettings) -> StoredVoice:
    """The kept voice that answers to ``voice_id``. Reads files.

    Raises UnknownVoice, and InvalidRequest for one of this server's own.
    """
    ours = resolve_voice(service, voice_id, settings)
    if ours is None or not ours.startswith(CUSTOM_PREFIX):
        raise InvalidRequest(
            "voice", "is no kept voice: only those that clients made can be changed or deleted"
        )
    return service.store.get(ours)


def _alike(service: SpeechService, premade: PremadeVoice, language: str) -> str | None:
    """A voice of that language and sex; None is that language's default."""
    default = service.catalogue.resolve(None, language)
    voices = [voice for voice in default.engine.info.voices if primary(voice.language) == primary(language)]
    # The default of the language comes first, then those of just its region.
    voices.sort(key=lambda voice: (voice.id != default.voice, voice.language != language))
    return next((voice.id for voice in voices if premade.gender in ("", voice.gender)), None)
