"""smart-turn: a network that hears whether a speaker has said all."""
