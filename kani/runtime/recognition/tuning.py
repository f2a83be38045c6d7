"""Thresholds that decide when a stream's words are final and how much audio is kept: docs/listening.md."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Thresholds, in seconds unless named otherwise."""

    onset_margin_s: float = 0.3  # audio before the onset of speech that is kept
    first_pass_s: float = 1.0  # least audio of a pass without a pause after the speech
    new_audio_s: float = 0.15  # least audio that the pass before it did not have
    hear_silence_s: float = 0.15  # silence after which the pass begins that may decide all words
    decide_silence_s: float = 0.25  # silence after which it decides them
    forget_silence_s: float = 0.6  # silence after which the audio is forgotten
    end_margin_s: float = 0.2  # a word that ends this close to the audio's end may be half a word
    sparse_pass_s: float = 0.4  # from this distance of two passes on one decides only likely words
    sure_probability: float = 0.7  # probability of the least likely token of a likely word
    long_s: float = 6.0  # kept audio from which on the audio of decided words is forgotten
    kept_words: int = 4  # decided words that keep their audio all the same
    longest_s: float = 12.0  # kept audio from which on words are decided without agreement
    undecided_s: float = 2.0  # audio at the end where they are not
    outside_speech_s: float = 0.05  # farthest that a word reaches beyond the detected speech
    mark_s: float = 0.5  # audio after a mark until the words before it are decided
    # least speech, and probability, with which a language is settled:
    language_by_speech: tuple[tuple[float, float], ...] = ((3.0, 0.0), (1.0, 0.9), (0.6, 0.97))
    guess_silence_s: float = 0.5  # as decide_silence_s, in a language that is not settled
    repeated_s: float = 0.8  # speech after the last word that is more than the end of it
    tail_s: float = 0.1  # length of a word that is no more than the end of the same word before it
    least_progress_s: float = 0.1  # that the audio has to be shorter by to be heard once more
    max_speedup: float = 1.5  # pace of live speech at most, relative to real time
    max_lead_s: float = 0.9  # audio ahead of that pace from which on it is a recording, not live speech
    max_marks: int = 64  # waiting marks with which the first is due without more audio
    longest_wait_s: float = 20.0  # live audio that waits for the words before it; it comes late at times


TUNING = Tuning()
