"""Pure: what should be, what differs from it, and in which order to mend that.

No system call, no clock, no file. Everything here can be tested with plain values, and is.
"""
