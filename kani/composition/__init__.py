"""Composition: from settings to engines, recogniser and speech service, for a server and for a program."""
