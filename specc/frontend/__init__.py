"""From text to a checked program: parse, resolve, check."""
