"""RFC 9110 as pure functions and frozen values: no descriptor, no clock, no bytes on wires."""
