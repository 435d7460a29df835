"""Frozen data without effects: what the specifications say, what the kernel has, and the steps between the two.

Nothing here reads a file, reads a clock or calls the kernel.
"""
