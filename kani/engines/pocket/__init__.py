"""Kyutai's Pocket TTS as an engine of the speech core: many streams in one batch, on a CPU."""
