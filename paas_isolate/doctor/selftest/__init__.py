"""Tries on this machine what its kernel promises: in a cgroup of its own below the tree each limit is written and seen
to hold, the PAM module places a session, the gate refuses. Nothing stays behind, also after an error or a signal."""
