"""Is this host fit? Every check says what it found, and the command that mends it. Nothing is changed."""
