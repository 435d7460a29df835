"""The hands: the only room that talks to the kernel. One door per substance.

cgroupfs opens the tree, procfs reads processes, pidfd moves them, users reads accounts of the system,
disks knows devices, systemd asks systemd. Nothing here decides anything.
"""
