"""Whisper's checkpoints in CTranslate2's format: where one is, whether it is whole, and how fast it is."""
