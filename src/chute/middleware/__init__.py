"""What happens around a handler, whatever the handler is: error pages and the access log."""
