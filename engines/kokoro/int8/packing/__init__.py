"""The fast decoder's weights: read from the published graph, packed in child processes, loaded."""
