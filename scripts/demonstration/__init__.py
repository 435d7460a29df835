"""What `scripts/try` shows: the product at work on a real machine. Every line is a measured fact.

The acts know only a `Ground`: the throwaway guest, or this machine with a scratch tree. Only `show` prints.
"""
