"""RFC 9112: the wire form of a message. Bytes in, values out; nothing here owns a socket, a clock or a file."""
