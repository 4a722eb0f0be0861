"""What a person types: each command builds one `Config` and runs it."""
