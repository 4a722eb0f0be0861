"""Bytes that the kernel moves: sources, the queue in front of a socket, and one family of system calls per file.

Speaks Unix (descriptor, offset, count) and knows neither HTTP nor asyncio; usable alone. Standard library only.
"""
