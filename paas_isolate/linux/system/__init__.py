"""The machine itself: its users, mounts, clock, lock, service manager and control socket."""
