"""Benchmarks of the reconciler, beside the same system calls from C (the floor) and beside what one would run instead.

Each table is measured in one run on one machine and printed with ratios, because seconds from an emulated machine say
little. Cgroup tree, users and specifications are its own, and are removed afterwards. `scripts/bench` runs it.
"""
