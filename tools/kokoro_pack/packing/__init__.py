"""The network's weights: read from the published graph, packed in a child process, loaded."""
