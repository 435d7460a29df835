"""The PAM module: it loads, leads root past itself, and places a session. `nobody` plays the customer."""

import os
import pwd
import tempfile
from collections.abc import Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.selftest.scratch import Scratch
from paas_isolate.linux.pam import auth_update, profile, session
from paas_isolate.linux.pam.doors import DoorDirectory

NOBODY = 65534
_SERVICE = "sshd"
_NAME = "pam module"


def examine(scratch: Scratch, module: str = "") -> Iterator[Check]:
    """`module` is tried instead of the installed one. No stack of this machine is read or changed."""
    module = module or auth_update.module_file()
    if not module:
        found = f"{profile.MODULE} is not installed: logins enter their trees at the next reconcile only"
        yield Check(_NAME, Verdict.SKIPPED, found)
        return
    with tempfile.TemporaryDirectory(prefix="paas-isolate-") as place:
        yield _tried(scratch, module, os.path.join(place, "doors"))


def _tried(scratch: Scratch, module: str, doors: str) -> Check:
    leaf, penalty = scratch.leaf("login"), scratch.leaf("penalty")
    directory = DoorDirectory(doors, scratch.cgroups.root)
    directory.set(str(NOBODY), leaf)
    directory.complete()
    options = profile.Options(NOBODY, NOBODY, (), scratch.absolute(penalty), doors)
    lines = [f"session [success=done ignore=ignore default=die] {' '.join((module, *options.words()))}"]
    with session.stack(_SERVICE, "\n".join([*lines, "session required pam_permit.so", ""])) as confdir:
        for user, wanted in (("root", ""), (_name(NOBODY), leaf)):
            opened = session.open_session(_SERVICE, user, confdir)
            where = scratch.cgroups.path_of(opened.cgroup)
            if opened.answer:
                found = f"{module}: a session of {user} does not open: {opened.reason} {opened.said}".rstrip()
                return Check(_NAME, Verdict.FAILED, found, "journalctl --grep pam_paas_isolate")
            if wanted and where != wanted:
                return Check(_NAME, Verdict.FAILED, f"{module}: a session of {user} is in {where}, not in its leaf")
    return Check(_NAME, Verdict.OK, f"{module}: root passes, a session of {user} is in its leaf")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "nobody"
