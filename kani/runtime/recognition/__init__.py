"""Live recognition and recordings by a model that hears stretches of audio: what its recognisers share."""
