"""Disk quotas, and the file systems and block devices that they and io.max are about."""
