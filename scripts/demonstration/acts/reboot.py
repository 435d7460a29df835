"""The machine goes down and comes up again."""

from collections.abc import Iterator, Mapping

from demonstration import picture
from demonstration.acts.resident import by_hand
from demonstration.acts.services import NEXT_PORT, PORT, WORDS
from demonstration.acts.setting import KNOBS
from demonstration.facts import Fact
from demonstration.ground import Ground

Tree = Mapping[str, picture.Knobs]

BOOTED = """
of() { systemctl show --property "$2" --value "$1"; }
tell result "$(of paas-isolate-boot.service Result)"
tell filled "$(of paas-isolate-boot.service ExecMainExitTimestampMonotonic)"
tell opened "$(of systemd-user-sessions.service ActiveEnterTimestampMonotonic)"
"""

SERVICES = """
eventually 60 both_answer
tell answer $?
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
    told = ground.measure(WORDS + SERVICES)
    yield Fact(
        "services",
        told.number("answer") == 0,
        f"nobody has started them: {ground.called('alice')}'s two answer on ports {PORT} and {NEXT_PORT}",
        "both answer within 60 s",
        told.output,
    )
    yield by_hand(ground)


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
