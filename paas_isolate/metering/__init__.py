"""Arithmetic of use: what the kernel's counters say, what grew between two readings, sums by hour, day and month.

Pure: nothing here reads the machine or a clock. What is missing is None and never 0.
"""
