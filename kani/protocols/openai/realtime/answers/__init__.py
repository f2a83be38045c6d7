"""Answers of a Realtime session: a language model's, spoken as they are written, or given text read aloud.

``responses`` reads what a client asks for and keeps those of a connection, ``output`` sends the events of
one, ``tools`` reads the functions that the model may call.
"""
