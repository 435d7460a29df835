"""The PAM module in the stacks of this machine, and doors for it to come in by; all as before afterwards."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guest_machine import STATE, run
from guest_paas import Paas

from paas_isolate.linux.pam import profile, update
from paas_isolate.source import decisions

SOURCE = Path(__file__).parents[2] / "pam"
BUILT = {
    profile.MODULE: Path("/lib/x86_64-linux-gnu/security") / profile.MODULE,
    "paas-enter": Path("/usr/local/sbin/paas-enter"),
}
STACKS = tuple(Path(update.CONFIG, name) for name in update.STACKS)
DOORS = Path("/run/paas-isolate/doors")


@contextmanager
def placed_at_once(paas: Paas) -> Iterator[None]:
    """Logins pass the module meanwhile. There must be an account already: its doors are laid now."""
    before = [stack.read_bytes() for stack in STACKS]
    ours = _build()
    try:
        paas("pam", "install")
        yield
    finally:
        paas("pam", "remove")
        decisions.save(str(STATE), decisions.load(str(STATE))._replace(doors=False))
        shutil.rmtree(DOORS, ignore_errors=True)
        for there in ours:
            there.unlink()
    assert [stack.read_bytes() for stack in STACKS] == before


def _build() -> list[Path]:
    """What scripts/install has not brought here."""
    missing = {name: there for name, there in BUILT.items() if not there.exists()}
    if missing:
        run("make", "--quiet", "-C", str(SOURCE))
    for name, there in missing.items():
        new = there.with_name(f"{there.name}.new")  # in one step: whoever logs in now loads a whole file or none
        shutil.copy(SOURCE / name, new)
        new.rename(there)
    return list(missing.values())
