"""The ruleset as text for nft(8): the table, which depends on the pools only, and the elements of its sets.

The text is made only of networks, addresses and numbers that were parsed, and of words of our own.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from hashlib import sha256
from importlib.resources import files

from paas_isolate.changes import egress
from paas_isolate.model.network import Grant, Pools, Published, Rules

TABLE = "inet paas_isolate"

LOCAL_PORTS = 32_768, 60_999
"""The kernel's default range of ephemeral ports, first and last (ip-sysctl.rst, ip_local_port_range)."""


def table(pools: Pools, local_ports: tuple[int, int] = LOCAL_PORTS, *, translates: bool = False) -> str:
    """The table with empty sets. `local_ports` is the range of ephemeral ports, `translates` as in Rules."""
    from jinja2 import Environment, StrictUndefined  # slow to import: needed only where there is no table yet

    plain = Environment(undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701  (no HTML)
    return plain.from_string(_template()).render(
        pools=pools,
        local_ports=local_ports,
        translates=translates,
        mail=egress.MAIL,
        retransmitted=egress.RETRANSMITTED,
    )


def table_version() -> str:
    """Differs between versions of the table without its elements."""
    return sha256(_template().encode()).hexdigest()[:16]


def _template() -> str:
    return files(__package__).joinpath("ruleset.nft.j2").read_text(encoding="utf-8")


def replacement(pools: Pools, rules: Rules, local_ports: tuple[int, int] = LOCAL_PORTS) -> str:
    """The whole ruleset. One transaction deletes the table that may be there and makes the new one."""
    made = table(pools, local_ports, translates=rules.translates)
    return f"table {TABLE}\ndelete table {TABLE}\n{made}\n{change(rules, Rules())}"


def change(wanted: Rules, found: Rules) -> str:
    """The commands that change the elements of the sets from `found` to `wanted`. Counters and the rest of the table
    stay as they are."""
    pairs = zip(_sets(wanted.without(found)), _sets(found.without(wanted)), strict=True)
    new, old = chains(wanted), chains(found)
    return "".join(
        (
            *(line for name in _limits_first(new.keys() - old.keys()) for line in _chain(name, new[name])),
            *(line for (name, added), (_, removed) in pairs for line in _lines(name, added, removed)),
            *(line for name in reversed(_limits_first(old.keys() - new.keys())) for line in _no_chain(name)),
        )
    )


def chains(rules: Rules) -> dict[str, tuple[str, ...]]:
    """The names of the chains of egress and of its limits, with the rules of each."""
    egresses = _egresses(rules)
    limits = {rate for sentences in egresses if (rate := egress.mail_rate(sentences))}
    return {egress.chain(sentences): tuple(egress.rules(sentences)) for sentences in egresses} | {
        egress.limit_chain(rate): tuple(egress.limit_rules(rate)) for rate in limits
    }


def _egresses(rules: Rules) -> set[egress.Egress]:
    return {entry.egress for entry in rules.egress} | {entry.egress for entry in rules.range_egress}


def number(text: str) -> int:
    """What the map `fingerprints` knows a text by."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") or 1


def _limits_first(names: AbstractSet[str]) -> list[str]:
    """A chain of egress needs that of its limit: it is made after it, and deleted before."""
    return sorted(names, key=lambda name: (not name.startswith(egress.LIMIT), name))


def _chain(name: str, rules: tuple[str, ...]) -> Iterator[str]:
    if name.startswith(egress.LIMIT):
        yield f"add set {TABLE} {name} {{ type uid; size {egress.LIMITED_UIDS}; flags dynamic; }}\n"
    yield f"add chain {TABLE} {name}\n"
    yield from (f"add rule {TABLE} {name} {rule}\n" for rule in rules)


def _no_chain(name: str) -> Iterator[str]:
    yield f"delete chain {TABLE} {name}\n"
    if name.startswith(egress.LIMIT):
        yield f"delete set {TABLE} {name}\n"
    yield f"delete element {TABLE} fingerprints {{ {number(name)} }}\n"


def _lines(name: str, new: frozenset[str], old: frozenset[str]) -> Iterator[str]:
    for verb, elements in (("delete", old - new), ("add", new - old)):
        if elements:
            keys = {element.partition(" : ")[0] for element in elements} if verb == "delete" else elements
            yield f"{verb} element {TABLE} {name} {{ {', '.join(sorted(keys))} }}\n"


def _sets(rules: Rules) -> Iterator[tuple[str, frozenset[str]]]:
    yield "frontends", frozenset(map(str, rules.frontends))
    for name, grants in (("owners", rules.owners), ("peers", rules.peers)):
        yield f"{name}4", _elements(grants, lambda address: ":" not in address)
        yield f"{name}6", _elements(grants, lambda address: ":" in address)
    yield "egress", frozenset([f"{uid} : jump {egress.chain(sentences)}" for uid, sentences in rules.egress])
    yield "subordinates", frozenset([f"{first}-{last}" for first, last in rules.subordinates])
    ranges = rules.range_egress
    yield "range_egress", frozenset([f"{each.first}-{each.last} : jump {egress.chain(each.egress)}" for each in ranges])
    for family, six in (("4", False), ("6", True)):
        published = [each for each in rules.published if (":" in each.address) == six]
        yield (
            f"published{family}",
            frozenset([_redirect(each, kind) for each in published for kind in ("tcp", "udp")]),
        )


def _redirect(entry: Published, protocol: str) -> str:
    return f"{protocol} . {entry.port} : {entry.address} . {entry.to}"


def _elements(grants: Iterable[Grant], fits: Callable[[str], bool]) -> frozenset[str]:
    return frozenset([f"{uid} . {address}" for uid, address in grants if fits(address)])
