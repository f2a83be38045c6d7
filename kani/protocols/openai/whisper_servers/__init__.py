"""Calls of other Whisper servers: whisper-asr-webservice's, which are subgen's too, and whisper.cpp's."""
