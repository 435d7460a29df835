"""The machine is rebooted."""

from collections.abc import Iterator, Mapping

from demonstration import picture
from demonstration.facts import Fact
from demonstration.scenarios.resident import by_hand
from demonstration.scenarios.services import NEXT_PORT, PORT, WORDS
from demonstration.scenarios.setting import KNOBS
from demonstration.target import Target

Tree = Mapping[str, picture.Knobs]

BOOTED = """
tell result "$(unit_property paas-isolate-boot.service Result)"
tell filled "$(unit_property paas-isolate-boot.service ExecMainExitTimestampMonotonic)"
tell opened "$(unit_property systemd-user-sessions.service ActiveEnterTimestampMonotonic)"
"""

SERVICES = """
eventually 60 both_answer
tell answer $?
"""


def reboot(target: Target) -> Iterator[Fact | str]:
    before = picture.knobs_of(target.run(KNOBS).out)
    seconds = target.reboot()
    after = picture.knobs_of(target.run(KNOBS).out)
    missing = list(differing(before, after))
    yield Fact(
        "back",
        not missing and len(before) > 1,
        f"rebooted in {seconds:.0f} s: {len(before) - len(missing)} of {len(before)} cgroups are back, limits and all",
        "the same tree",
        "\n".join(f"{path} was {before[path]}, is {after.get(path, 'not there')}" for path in missing),
    )
    values = target.measure(BOOTED)
    ahead = (values.number("opened") - values.number("filled")) / 1e6
    yield values.fact(
        "before logins",
        values.text("result") == "success" and ahead >= 0,
        f"the tree was filled {ahead:.1f} s before systemd let anybody log in",
        "paas-isolate-boot.service ended well before systemd-user-sessions.service",
    )
    values = target.measure(WORDS + SERVICES)
    yield values.fact(
        "services",
        values.number("answer") == 0,
        f"nobody has started them: {target.called('alice')}'s two answer on ports {PORT} and {NEXT_PORT}",
        "both answer within 60 s",
    )
    yield by_hand(target)


def differing(before: Tree, after: Tree) -> Iterator[str]:
    """Paths of the cgroups that differ after the reboot. memory.max of `users` may differ by 1 %: it is a percentage of
    the machine's memory, of which the kernel reserves slightly more or less at each boot."""
    for path, knobs in before.items():
        there = dict(after.get(path, {}))
        if path == "users" and _nearly(knobs.get("memory.max", ""), there.get("memory.max", "")):
            there["memory.max"] = knobs["memory.max"]
        if there != knobs:
            yield path


def _nearly(one: str, other: str) -> bool:
    return one.isdigit() and other.isdigit() and abs(int(one) - int(other)) <= int(one) / 100
