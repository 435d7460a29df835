"""Reading state that may be damaged."""

ODD = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError)
"""What reading damaged state may raise. The reader then acts as if there were none."""
