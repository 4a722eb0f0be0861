"""The one gate to the disk: names are resolved beneath a root, opened once, measured on the descriptor."""
