"""Results of the library: audio and transcripts."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from html import escape
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from kani.core.audio import synthetic_mark
from kani.core.audio.encoding import AudioFormat, FileEncoder
from kani.core.audio.pcm import wav
from kani.core.subtitles import WRITERS, Cue, speaker_name
from kani.core.transcriber import TranscribedSegment
from kani.core.types import Samples, Span
from kani_text.writing import is_unspaced

CODECS: dict[str, tuple[str, int | None]] = {
    ".wav": ("wav", None),
    ".mp3": ("mp3", 128_000),
    ".flac": ("flac", None),
    ".opus": ("opus", 64_000),
    ".ogg": ("opus", 64_000),
    ".aac": ("aac", 128_000),
}
"""Codec, and bits per second, by the ending of a file's name."""

_PARTS = re.compile(r"\s+|\S+")

MAX_SHOWN_S, MAX_SHOWN_TEXT = 180, 200
"""Seconds of a notebook's player (4 MB in its file), and characters of the text shown."""

TRANSCRIPT_ENDINGS = (".txt", ".srt", ".vtt")
ALIGNED_ENDINGS = (".srt", ".vtt", ".json")

MIN_FIT = 0.42
"""Least confidence of a text that fits."""


def ending_of(path: Path, endings: Iterable[str]) -> str:
    """Return the ending of a file's name. Raises ValueError for one that is none of these."""
    if (ending := path.suffix.lower()) not in endings:
        raise ValueError(f"{path.name}: the name has to end with one of {', '.join(endings)}")
    return ending


def codec_of(path: Path) -> tuple[str, int | None]:
    """Return the codec, and bits per second, of a file by its name. Raises ValueError for other endings."""
    return CODECS[ending_of(path, CODECS)]


@dataclass(frozen=True, slots=True)
class Word:
    """A word, and the seconds of the audio at which it begins and ends."""

    text: str
    start_s: float
    end_s: float

    def __str__(self) -> str:
        return f"{self.start_s:8.2f} {self.end_s:8.2f}  {self.text}"


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Speech: mono float32 ``samples`` in [-1, 1] at ``sample_rate`` hertz, and the times of its text."""

    samples: Samples = field(repr=False)
    sample_rate: int
    text: str
    spans: tuple[Span, ...] = field(repr=False)
    """Ranges of characters of ``text`` that tile it, each with its time."""
    voice: str
    """Id of the voice that spoke; "" where nothing was speakable."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of the text, as its spaces divide it, with their punctuation and their times.

        In a script without spaces each span is a word.
        """
        found: list[Word] = []
        joined = False
        for span in self.spans:
            for part in _PARTS.findall(self.text[span.start : span.end]):
                if part.isspace():
                    joined = False
                    continue
                spoken = any(map(str.isalnum, part))
                if not joined or any(map(is_unspaced, part)):
                    found.append(Word(part, span.start_s, span.end_s if spoken else span.start_s))
                    joined = True
                    continue
                last = found[-1]
                # A mark belongs to its word, not the pause after it.
                begun = any(map(str.isalnum, last.text))
                start_s = last.start_s if begun or not spoken else span.start_s
                found[-1] = Word(last.text + part, start_s, span.end_s if spoken else last.end_s)
        return tuple(word for word in found if any(map(str.isalnum, word.text)))

    def _repr_html_(self) -> str:
        """Return a player for a notebook, which keeps it: MP3, of ``MAX_SHOWN_S`` at most."""
        text = escape(self.text[:MAX_SHOWN_TEXT])
        if self.duration_s > MAX_SHOWN_S:
            return f"<p>{text} … ({self.duration_s:.0f} s of speech: save it to play it)</p>"
        sound = b64encode(self.encoded(Path("speech.mp3"))).decode()
        return f'<audio controls title="{text}" src="data:audio/mpeg;base64,{sound}"></audio>'

    def to_wav(self) -> bytes:
        """Return a WAV file, 16 bits."""
        return wav(self.samples, self.sample_rate, synthetic_mark.riff_info())

    def save(self, path: str | Path) -> None:
        """Write a file; the ending of its name decides on its format.

        Raises ValueError for an ending other than .wav, .mp3, .flac, .opus, .ogg and .aac.
        """
        path = Path(path)
        path.write_bytes(self.encoded(path))

    def encoded(self, path: Path) -> bytes:
        """Return what ``save`` writes."""
        codec, bit_rate = codec_of(path)
        encoder = FileEncoder(AudioFormat(codec, self.sample_rate, bit_rate), self.sample_rate)
        encoder.add(self.samples)
        return encoder.finish()


@dataclass(frozen=True, slots=True)
class Turn:
    """Speech of one speaker until another speaks, and the seconds at which it begins and ends."""

    speaker: str
    """A for who speaks first, then B …"""
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """Text of a recording."""

    text: str
    words: tuple[Word, ...]
    language: str
    """Primary subtag of the language of its first sentence; "" where nothing was said."""
    duration_s: float
    """Length of the recording in seconds."""
    turns: tuple[Turn, ...] = ()
    """Turns of the speakers; empty unless these were to be told apart."""
    cues: tuple[Cue, ...] = ()
    """Subtitles, each after its speaker's name where they were to be told apart."""

    def __str__(self) -> str:
        return "\n".join(f"{turn.speaker}: {turn.text}" for turn in self.turns) or self.text

    def save(self, path: str | Path) -> None:
        """Write a file: the text, or the turns, as .txt, subtitles as .srt or .vtt.

        Raises ValueError for another ending.
        """
        path = Path(path)
        subtitles = WRITERS.get(ending_of(path, TRANSCRIPT_ENDINGS)[1:])
        path.write_text(f"{self}\n" if subtitles is None else subtitles(self.cues), "utf-8")


@dataclass(frozen=True, slots=True)
class AlignedWord(Word):
    """A word of a given text."""

    confidence: float
    """1 where the recording has it, 0 where it has anything else."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A text that was given, and where a recording has it."""

    text: str
    words: tuple[AlignedWord, ...]
    confidence: float
    """1 for a text that is spoken in the recording, 0 for any other."""
    language: str
    """Tag of the language that the text was read in."""
    duration_s: float
    """Length of the recording in seconds."""
    cues: tuple[Cue, ...]
    """Subtitles."""

    @property
    def fits(self) -> bool:
        """False where the recording probably has another text, or none."""
        return self.confidence >= MIN_FIT

    def save(self, path: str | Path) -> None:
        """Write a file: subtitles as .srt or .vtt, words with their times as .json.

        Raises ValueError for another ending.
        """
        path = Path(path)
        subtitles = WRITERS.get(ending_of(path, ALIGNED_ENDINGS)[1:])
        kept = {name: value for name, value in asdict(self).items() if name != "cues"}
        words = json.dumps(kept, ensure_ascii=False, indent=1) + "\n"
        path.write_text(words if subtitles is None else subtitles(self.cues), "utf-8")


def turns_of(segments: Iterable[TranscribedSegment]) -> tuple[Turn, ...]:
    """Return the turns of segments in order; those without a speaker are left out."""
    turns = []
    for speaker, spoken in groupby(segments, attrgetter("speaker")):
        if speaker is not None:
            parts = [*spoken]
            text = "".join(part.text for part in parts).strip()
            turns.append(Turn(speaker_name(speaker), text, parts[0].start_s, parts[-1].end_s))
    return tuple(turns)


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn of the user has ended; ``language``: primary subtag, empty if unknown."""

    text: str
    language: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """Further audio of the answer, to be played, and the text that begins to be spoken in it."""

    samples: Samples
    sample_rate: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The user has spoken into the answer: stop playing. ``text``: what was heard of it until then."""

    text: str

    def __str__(self) -> str:
        return "…"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The answer failed, or is empty, or no word was understood; the conversation goes on."""

    reason: str

    def __str__(self) -> str:
        return self.reason


ConversationEvent = Heard | Answered | Interrupted | NoAnswer
