"""The tree in /sys/fs/cgroup (cgroup v2): finds, opens, reads and writes it, and nothing outside it."""
