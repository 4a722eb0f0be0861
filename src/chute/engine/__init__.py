"""Events: which socket can do something, and what its connection does with that. Knows no concrete handler."""
