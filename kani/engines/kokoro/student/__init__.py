"""A small network of one Kokoro voice in one language: whole sentences for a twentieth of the processor time.

A student predicts durations, pitch, energy and spectra from the same symbols as Kokoro, in frames of the same
length. It needs no style, no prediction in steps and no statistics of norms: all of a sentence's prosody is
predicted at once, and two or three windows are decoded.

    symbols, speed ─▶ prosody ─▶ text, pitch, energy, frames ─▶ decoder ─▶ spectra ─▶ waveform ─▶ samples
                                        │
                                        └─ pitch control, as Kokoro's (``pitch_control``)

``tools/published/english_student.py`` makes the files in ``data/``.
"""
