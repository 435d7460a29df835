"""Reads specifications and stores their last good copies. No other package reads either.

A file that anybody but its owner could have written is not read. A run in which nothing has changed opens no
specification and parses no YAML. A run that may not write (check, diff, status) writes nothing.
"""
