"""What `scripts/try` shows: the product at work on a real machine. Every line is a measured fact.

The scenarios know only a `Target`: the throwaway guest, or this machine with a scratch tree. Only `show` prints.
"""
