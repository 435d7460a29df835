"""Pluggable authentication: the lines that lead logins to our module, and the stacks that they are in (pam.conf(5))."""
