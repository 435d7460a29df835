"""The machine goes down and comes up again."""

from collections.abc import Iterator

from demonstration import picture
from demonstration.acts.setting import KNOBS
from demonstration.facts import Fact
from demonstration.ground import Ground

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
    missing = [path for path, knobs in before.items() if after.get(path) != knobs]
    yield Fact(
        "back",
        not missing and len(before) > 1,
        f"rebooted in {seconds:.0f} s: {len(before) - len(missing)} of {len(before)} cgroups are back, limits and all",
        "the same tree" + (f"; these differ: {', '.join(missing)}" if missing else ""),
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
