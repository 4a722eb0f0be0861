"""Prepared answers and their cache: decide once, answer many times, and never answer differently for it."""
