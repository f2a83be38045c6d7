"""The clients that Kyutai's servers are used by, each with its own expectations of a server.

What they send, what they wait for and what makes them give up is theirs (the scripts of
delayed-streams-modeling, Unmute's backend, InvincibleVoice), told in our own words. Where a client
would raise, these do.
"""
