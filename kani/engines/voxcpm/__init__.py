"""VoxCPM by its makers' package, in a process and an environment of its own."""
