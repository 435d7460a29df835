"""The product is installed, customers and their programs are added, and every process is moved into its leaf."""

import re
from collections.abc import Iterator

from demonstration import examples, picture
from demonstration.facts import Fact, Readings
from demonstration.target import Target

PROGRAMS = {
    "alice": ("serve_redis", "alice/other"),
    "bob": ("serve_nginx", "bob/other"),
    "carol": ("serve_python", "carol/web"),
    "intranet": ("serve_apache", "intranet/apache-upstream"),
}
"""Account -> what its user starts, and the leaf where that belongs."""

ON_A_PORT = ("alice", "bob", "carol")
"""apache2 is a stand-in where it is not installed."""

KNOBS = """
for path in "$TREE"/users "$TREE"/users/*/ "$TREE"/users/*/*/; do
    path=${path%/}
    for knob in cpu.max memory.max pids.max; do
        printf '%s %s %s\\n' "${path#"$TREE"/}" "$knob" "$(<"$path/$knob")"
    done
done
"""

METERING = """
grep -q '^metering:' "$ETC/config.yaml" || echo 'metering: {}' >>"$ETC/config.yaml"
"""

PIDS = "\n".join(f'tell {account} "$(pgrep -u "${account}" | tr "\\n" " ")"' for account in PROGRAMS)


def installation(target: Target) -> Iterator[Fact | str]:
    yield Fact("installed", True, target.install())
    yield _doctor(target)


def _doctor(target: Target) -> Fact:
    answer = target.product("doctor", "--json")
    checks = answer.json()
    failed = [f"{check['name']}: {check['found']}" for check in checks if check["verdict"] == "FAILED"]
    excused = [one for one in failed if one.startswith(target.excused)] if target.excused else []
    ok = len(failed) == len(excused)
    fit = sum(check["verdict"] == "OK" for check in checks)
    said = f"{fit} of {len(checks)} checks OK, {len(failed)} failed"
    if excused:
        said += f" ({'; '.join(excused)}: as it should be in a scratch tree)"
    return Fact("doctor", ok, said, expected="no check fails", output=answer.out if not ok else "")


def accounts(target: Target) -> Iterator[Fact | str]:
    target.hold_schedule()
    texts = {name: target.example(name) for name in examples.accounts()}
    target.add_users(list(examples.all_users(texts)))
    target.write({target.spec(name): text for name, text in texts.items()})
    target.measure(METERING)
    answer = target.product("check")
    yield answer.fact("check", answer.code == 0, answer.last_line(), "exit status 0")
    yield from _programs(target)
    yield _coverage(target, "before", "outside", confined=False)
    before = target.measure(PIDS)
    answer = target.reconcile()
    said = f"{answer.last_line()} in {answer.seconds:.1f} s"
    yield answer.fact("reconcile", answer.code == 0, said, "exit status 0")
    tree = picture.knobs_of(target.run(KNOBS).out)
    yield from picture.draw(tree)
    yield _limits(target, tree)
    yield _coverage(target, "after", "inside", confined=True)
    yield _places(target, before)
    answer = target.reconcile()
    ok = answer.code == 0 and "nothing to do" in answer.out
    yield answer.fact("reconcile again", ok, answer.last_line(), "nothing to do")


def _programs(target: Target) -> Iterator[Fact]:
    script = "\n".join(f"outside ${account} {serve} ${account}_port" for account, (serve, _) in PROGRAMS.items())
    answer = target.run(script)
    started = re.findall(r"^program=(.*)$", answer.out, re.MULTILINE)
    said = ", ".join(
        f"{program} of {target.called(account)}" for program, account in zip(started, PROGRAMS, strict=False)
    )
    yield answer.fact(
        "programs",
        answer.code == 0 and len(started) == len(PROGRAMS),
        f"each running as its own user: {said}",
        f"{len(PROGRAMS)} programs",
    )


def _coverage(target: Target, name: str, where: str, *, confined: bool) -> Fact:
    answer = target.product("coverage", "--json")
    inside, total = (answer.json()[key] for key in ("confined", "total"))
    ok = total >= len(PROGRAMS) and (inside == total if confined else inside < total)
    said = f"{inside} of {total} processes confined"
    said += f" ({total - inside} {where})" if not confined else ""
    return answer.fact(f"coverage {name}", ok, said, "all confined" if confined else "some outside")


def _limits(target: Target, tree: dict[str, dict[str, str]]) -> Fact:
    carol = target.called("carol")
    expected = {
        (f"users/{carol}", "cpu.max"): "25000 100000",
        (f"users/{carol}", "memory.max"): str(256 << 20),
        (f"users/{carol}", "pids.max"): "50",
        (f"users/{carol}/web", "memory.max"): str((256 << 20) * 8 // 10 // 4096 * 4096),
    }
    found = {key: tree.get(key[0], {}).get(key[1], "nothing") for key in expected}
    said = f"the kernel has what {carol}.yaml says: " + ", ".join(
        f"{path.removeprefix('users/')} {knob} {value}" for (path, knob), value in found.items()
    )
    return Fact("limits", found == expected, said, ", ".join(expected.values()))


def _places(target: Target, before: Readings) -> Fact:
    """Every server is in the leaf that its account's file names, with the same pid, and those on a port answer."""
    script = []
    for account, (_, leaf) in PROGRAMS.items():
        path = leaf.replace(account, target.called(account), 1)
        script.append(f'tell {account} "$(tr "\\n" " " <"$TREE/users/{path}/cgroup.procs")"')
        script.append(f"eventually 10 answers ${account}_port; tell {account}_status $?")
    values = target.measure("\n".join(script) + "\ntrue")
    wrong = []
    for account, (_, leaf) in PROGRAMS.items():
        pids = set(before.text(account).split())
        if not pids or not pids <= set(values.text(account).split()):
            wrong.append(f"{account}'s processes {', '.join(sorted(pids)) or '(none)'} are not all in {leaf}")
        elif values.number(f"{account}_status") and account in ON_A_PORT:
            wrong.append(f"{account}'s server does not answer")
    said = "the same processes, each in its leaf, and all answer: " + ", ".join(leaf for _, leaf in PROGRAMS.values())
    output = before.output + values.output
    return Fact("places", not wrong, "; ".join(wrong) or said, "each in its leaf, none restarted, all answer", output)
