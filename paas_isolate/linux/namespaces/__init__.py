"""Views: mount namespaces of accounts, made in short-lived children, for a process is in one at a time.

What stands on the host are two mounts, however many accounts there are: a tmpfs that is root's, and in it the handle of
the keeper, a namespace with nothing in it but the handles of the others. See mount_namespaces(7), namespaces(7).
"""
