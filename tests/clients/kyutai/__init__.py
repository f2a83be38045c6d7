"""Clients of Kyutai's servers, written anew here from the originals' source.

They are not the originals (the scripts of delayed-streams-modeling, Unmute's backend, InvincibleVoice), but
send what those send, wait for what those wait for, and give up where those give up. Where an original would
raise, these do.
"""
