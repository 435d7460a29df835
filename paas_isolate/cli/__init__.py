"""Words in, words out: the only place that prints or exits. One file a family of verbs.

Nothing here decides; every command opens the desk, asks a room below, and tells the answer.
"""
