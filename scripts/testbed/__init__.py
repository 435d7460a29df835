"""The test machine: a throwaway Debian with systemd, cgroup v2, sshd and the product of the working tree.

Everything that needs a real machine goes through `testbed.guest.Guest`. Nothing here prints or exits.
"""
