"""Wire protocols, one package or module each; none imports an engine or another protocol."""
