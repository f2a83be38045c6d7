"""An engine and a recogniser of another package than the server's."""
