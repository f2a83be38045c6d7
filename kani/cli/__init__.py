"""The programs: ``kani-tts`` and the scripts of a checkout."""
