"""The clients that VoxCPM's server is used by, and what they have in common.

``document.md`` holds the two clients of the document as it writes them; the others are told in our own
words. Where a client would raise, these do.
"""
