"""Who listens: recognisers behind ``speech.recognizer.Recognizer``."""
