"""Event sources: file descriptors that become readable when something may have changed. An event is only a reason to
read the state again; it is never taken for the state."""
