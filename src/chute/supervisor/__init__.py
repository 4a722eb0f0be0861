"""Processes, their sockets and their signals."""
