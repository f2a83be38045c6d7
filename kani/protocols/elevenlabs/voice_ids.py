"""Voice ids of ElevenLabs' clients, mapped to this server's voices.

This server's own ids are used unchanged. ElevenLabs' premade voices speak every language and this server's
voices one each, so a premade id selects at most a gender: with the language of the request a voice of that
gender speaks, without it the default voice of the text's language.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from kani.core.errors import InvalidRequest, UnknownVoice
from kani.core.service import SpeechService
from kani.core.voices.catalogue import DEFAULT_VOICE
from kani.core.voices.store import CUSTOM_PREFIX, StoredVoice
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani_text.languages import primary

ACCOUNT_PREFIX = "elevenlabs:"
"""Prefix of the ids of voices in the ElevenLabs account that the engine ``elevenlabs`` uses."""

MAX_ID_LENGTH = 200
"""Characters of a voice id."""


@dataclass(frozen=True, slots=True)
class PremadeVoice:
    name: str
    gender: Literal["female", "male", ""]


_FEMALE_VOICES = """
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
_MALE_VOICES = """
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


def _parse_rows(rows: str, gender: Literal["female", "male"]) -> dict[str, PremadeVoice]:
    parsed = (row.split() for row in rows.strip().splitlines())
    return {voice_id: PremadeVoice(name, gender) for voice_id, name in parsed}


PREMADE_VOICES = {
    **_parse_rows(_FEMALE_VOICES, "female"),
    **_parse_rows(_MALE_VOICES, "male"),
    "SAz9YHcvj6GT2YYXdXww": PremadeVoice("River", ""),
}
"""ElevenLabs' premade voices by id, as its documentation and its clients' defaults name them."""


def resolve_voice(
    service: SpeechService, voice_id: str, settings: ElevenLabsSettings, language: str | None = None
) -> str | None:
    """Find this server's voice for ``voice_id``; None is the default voice of the text's language.

    language: BCP 47 tag, if the request gives one. Reads a file for stored voices. Raises UnknownVoice.
    """
    if len(voice_id) > MAX_ID_LENGTH:
        raise UnknownVoice(voice_id[:MAX_ID_LENGTH] + "…")
    named = settings.own.voices.get(voice_id, voice_id)
    # The prefix of a stored voice may be left out, and so may the account's with the engine elevenlabs.
    # A premade id always means ElevenLabs' voice, even where a stored voice has that name.
    stored = () if named in PREMADE_VOICES else (CUSTOM_PREFIX + named,)
    for candidate in (named, *stored, ACCOUNT_PREFIX + named):
        with suppress(UnknownVoice):
            service.catalogue.find(candidate)
            return candidate if candidate != DEFAULT_VOICE else None
    premade = PREMADE_VOICES.get(named)
    if premade is None:
        raise UnknownVoice(voice_id)
    return _same_gender(service, premade, language) if language is not None else None


def resolve_stored_voice(service: SpeechService, voice_id: str, settings: ElevenLabsSettings) -> StoredVoice:
    """Find the stored voice for ``voice_id``. Reads files.

    Raises UnknownVoice, and InvalidRequest for this server's built-in voices.
    """
    found = resolve_voice(service, voice_id, settings)
    if found is None or not found.startswith(CUSTOM_PREFIX):
        raise InvalidRequest(
            "voice", "is a built-in voice: only those that clients made can be changed or deleted"
        )
    return service.store.get(found)


def _same_gender(service: SpeechService, premade: PremadeVoice, language: str) -> str | None:
    """Find a voice of that language and gender; None is the language's default voice."""
    default = service.catalogue.resolve(None, language)
    voices = default.engine.info.voices_for(primary(language))
    # The default of the language comes first, then voices of the requested region.
    voices.sort(key=lambda voice: (voice.id != default.voice, voice.language != language))
    return next((voice.id for voice in voices if premade.gender in ("", voice.gender)), None)
