"""Names of voices that are no voice's id: mixes, and the speakers of Kani-TTS."""
