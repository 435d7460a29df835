"""The gate: BPF programs on a cgroup that give each customer addresses and a localhost of their own.

A customer serves on their own addresses only and connects to those of others only by a grant; localhost and 0.0.0.0 are
their own address. Programs and maps are pinned: they work while no process of ours is alive.
"""
