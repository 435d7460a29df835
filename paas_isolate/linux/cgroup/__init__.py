"""The tree in /sys/fs/cgroup (cgroup v2): found, opened, read and written, and nothing outside it."""
