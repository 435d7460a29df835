"""Checks whether this host is fit. Each check names what it found and the command that mends it; nothing is changed."""
