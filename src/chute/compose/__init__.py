"""The only place that knows all parts: a configuration becomes a running server."""
