"""The machine: its size, users, mounts, lock, systemd, and the control socket."""
