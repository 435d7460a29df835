"""Processes: read from /proc, moved and killed through pidfds; and child processes that do work for this one."""
