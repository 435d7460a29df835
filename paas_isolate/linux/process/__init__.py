"""Processes: who runs where (procfs), moved and ended by pidfd, and work done in child processes."""
