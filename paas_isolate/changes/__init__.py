"""Pure functions: the desired state, its differences from the observed one, and the order of the steps between them.

No system call, no clock, no file: all is tested with plain values.
"""
