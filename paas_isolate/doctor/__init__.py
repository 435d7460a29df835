"""Checks whether this host is fit. Each check names what it found and the command that mends it. Nothing is changed,
but by `selftest`, which removes what it made."""
