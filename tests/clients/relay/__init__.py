"""A client of the relay that checks every message; the app's own logic is in examples/relay_client.py."""
