"""scripts/package: the version, a clean chroot, and the build of Debian packages in it."""
