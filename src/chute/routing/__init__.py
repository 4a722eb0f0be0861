"""From a request to whoever answers it: hosts, locations, rewrites, and what needs no handler of its own."""
