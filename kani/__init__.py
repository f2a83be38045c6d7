"""A private speech server and its library."""
