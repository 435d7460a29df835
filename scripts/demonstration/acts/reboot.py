"""The machine goes down and comes up again."""

from collections.abc import Iterator, Mapping

from demonstration import picture
from demonstration.acts.setting import KNOBS
from demonstration.facts import Fact
from demonstration.ground import Ground

Tree = Mapping[str, picture.Knobs]

BOOTED = """
of() { systemctl show --property "$2" --value "$1"; }
tell result "$(of paas-isolate-boot.service Result)"
tell filled "$(of paas-isolate-boot.service ExecMainExitTimestampMonotonic)"
tell opened "$(of systemd-user-sessions.service ActiveEnterTimestampMonotonic)"
tell timer "$(systemctl is-active paas-isolate.timer)"
"""

TIMER = """
knob=$TREE/users/$bob/pids.max
before=$(<"$knob")
echo max >"$knob"
is_back() { [[ $(<"$knob") == "$before" ]]; }
begin=$SECONDS
eventually 150 is_back
tell back $?
tell took $((SECONDS - begin))
tell value "$(<"$knob")"
"""


def reboot(ground: Ground) -> Iterator[Fact | str]:
    before = picture.knobs_of(ground.run(KNOBS).out)
    seconds = ground.reboot()
    after = picture.knobs_of(ground.run(KNOBS).out)
    missing = list(differing(before, after))
    yield Fact(
        "back",
        not missing and len(before) > 1,
        f"rebooted in {seconds:.0f} s: {len(before) - len(missing)} of {len(before)} cgroups are back, limits and all",
        "the same tree",
        "\n".join(f"{path} was {before[path]}, is {after.get(path, 'not there')}" for path in missing),
    )
    told = ground.measure(BOOTED)
    ahead = (told.number("opened") - told.number("filled")) / 1e6
    yield Fact(
        "before logins",
        told.text("result") == "success" and ahead >= 0,
        f"the tree was filled {ahead:.1f} s before systemd let anybody log in",
        "paas-isolate-boot.service ended well before systemd-user-sessions.service",
        told.output,
    )
    told = ground.measure(TIMER, patience=240)
    yield Fact(
        "timer",
        told.number("back") == 0,
        f"changed by hand, and nobody runs reconcile: the timer put pids.max back to {told.text('value')}"
        f" after {told.number('took')} s",
        "within 150 s",
        told.output,
    )


def differing(before: Tree, after: Tree) -> Iterator[str]:
    """The cgroups that did not come back as they were. The ceiling of all customers is in percent of the machine's
    memory, of which the kernel keeps some pages more or fewer for itself from boot to boot."""
    for path, knobs in before.items():
        there = dict(after.get(path, {}))
        if path == "users" and _nearly(knobs.get("memory.max", ""), there.get("memory.max", "")):
            there["memory.max"] = knobs["memory.max"]
        if there != knobs:
            yield path


def _nearly(one: str, other: str) -> bool:
    return one.isdigit() and other.isdigit() and abs(int(one) - int(other)) <= int(one) / 100
