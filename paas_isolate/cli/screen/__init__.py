"""What top shows, and its terminal.

`state` is pure: which keys do what. `draw` is pure too: from rows to lines. `terminal` has the modes of the terminal,
and gives them back at every end.
"""
