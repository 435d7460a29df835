"""Where specifications come from and where their last good copies are kept: the only room that reads either.

A file that others than its owner could have written is not read. A run that finds nothing changed opens no
specification and parses no YAML; a run that may not write (check, diff, status) writes nothing.
"""
