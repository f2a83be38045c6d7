"""A client of the relay's protocol that checks all that comes. The app's own logic is in examples/relay_client.py."""
