"""What a user may set, as typed values; composed of the options that live beside each behaviour."""
