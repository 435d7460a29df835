"""Views: mount namespaces of accounts. Short-lived children make them, for a process is in one namespace at a time.

On the host are two mounts, however many accounts there are: a tmpfs of root's, and in it the handle of the keeper, a
namespace that holds nothing but the handles of the views. See mount_namespaces(7), namespaces(7).
"""
