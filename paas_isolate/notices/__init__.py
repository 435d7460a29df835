"""Notices: one round looks at the rules of config.yaml, sends what is due, and remembers what was told.

A round is a process of its own, which the daemon starts each minute and never waits for.
"""
