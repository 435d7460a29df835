"""What `scripts/try` shows: the product at work on a real machine, every line a measured fact.

The acts know only a `Ground`: the throwaway guest, or the machine itself in a scratch tree. Only `show` prints.
"""
