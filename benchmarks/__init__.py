"""Benchmarks of the reconciler: beside the floor, which is the same system calls from C, and beside what one
would run instead. Everything is measured in one run on one machine and told as ratios, since times in an emulated
machine say little. The tree, the users and the specifications are its own, and gone afterwards.
"""
