"""What tells that something has changed. Nothing that is heard is believed: it is a reason to look, no more."""
