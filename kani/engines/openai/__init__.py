"""Any server of OpenAI's audio API: its speech as an engine, its transcriptions as a recogniser."""
