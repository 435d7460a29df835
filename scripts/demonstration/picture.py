"""The tree as a small picture: every account and leaf with the limits that the kernel has."""

from collections.abc import Iterator, Mapping

from demonstration.facts import size

Knobs = Mapping[str, str]


def knobs_of(output: str) -> dict[str, dict[str, str]]:
    """From lines such as `users/alice memory.max 1073741824`: path -> knob -> text."""
    tree: dict[str, dict[str, str]] = {}
    for line in output.splitlines():
        path, knob, value = line.split(" ", 2)
        tree.setdefault(path, {})[knob] = value
    return tree


def draw(tree: Mapping[str, Knobs]) -> Iterator[str]:
    """`tree`: path below the root -> knob -> the kernel's text."""
    yield _line("users/", tree.get("users", {}))
    accounts = sorted(path for path in tree if path.count("/") == 1)
    for account in accounts:
        is_last = account == accounts[-1]
        yield _line(("└─ " if is_last else "├─ ") + _name(account), tree[account])
        leaves = sorted(path for path in tree if path.startswith(f"{account}/"))
        for leaf in leaves:
            stem = "   " if is_last else "│  "
            yield _line(stem + ("└─ " if leaf == leaves[-1] else "├─ ") + _name(leaf), tree[leaf])


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _line(name: str, knobs: Knobs) -> str:
    return f"{name:<28}{limits(knobs)}".rstrip()


def limits(knobs: Knobs) -> str:
    """`25% of a core, 256M, 50 processes`; only what is limited."""
    parts = []
    quota, _, period = knobs.get("cpu.max", "max").partition(" ")
    if quota != "max":
        parts.append(_cores(int(quota) / int(period)))
    if (memory := knobs.get("memory.max", "max")) != "max":
        parts.append(size(int(memory)))
    if (pids := knobs.get("pids.max", "max")) != "max":
        parts.append(f"{pids} processes")
    return ", ".join(parts)


def _cores(number: float) -> str:
    if number < 1:
        return f"{100 * number:g}% of a core"
    return f"{number:g} core" + ("s" if number > 1 else "")
