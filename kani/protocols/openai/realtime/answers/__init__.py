"""Answers of a Realtime session: a language model's, spoken as they are written, or given text read aloud.

``responses`` keeps those of a connection, ``fields`` reads what a client asks for, ``output`` sends the
events of one, ``tools`` reads the functions that the model may call.
"""
