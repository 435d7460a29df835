"""The gate: BPF programs on a cgroup that give each customer addresses and a localhost of their own.

A customer serves on their own addresses only, connects to those of others only by a grant, and means their own address
where they say localhost or 0.0.0.0. The programs and maps are pinned: they hold with no process of ours alive.
"""
