"""The ruleset as text for nft(8): the table, which changes with the pools alone, and what is in its sets.

Nothing is rendered but networks, addresses, numbers and words of our own, which have been parsed before.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from importlib.resources import files

from paas_isolate.changes import egress
from paas_isolate.model.network import Grant, Pools, Published, Rules

TABLE = "inet paas_isolate"


LOCAL_PORTS = 32_768, 60_999
"""Those that the kernel hands out itself, where nothing else is set (Documentation/networking/ip-sysctl.rst)."""


def table(pools: Pools, local_ports: tuple[int, int] = LOCAL_PORTS) -> str:
    from jinja2 import Environment, StrictUndefined  # only a table that is not there pays for it

    template = files(__package__).joinpath("ruleset.nft.j2").read_text(encoding="utf-8")
    plain = Environment(undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701  (no HTML)
    return plain.from_string(template).render(pools=pools, local_ports=local_ports)


def replacement(pools: Pools, rules: Rules, local_ports: tuple[int, int] = LOCAL_PORTS) -> str:
    """The whole table anew, in one transaction with the end of the one that may be there."""
    return f"table {TABLE}\ndelete table {TABLE}\n{table(pools, local_ports)}\n{change(rules, Rules())}"


def change(wanted: Rules, found: Rules) -> str:
    """What turns the sets into the wanted ones, by element: counters and everything else live on."""
    pairs = zip(_sets(wanted.without(found)), _sets(found.without(wanted)), strict=True)
    new, old = chains(wanted), chains(found)
    return "".join(
        (
            *(line for name in sorted(new.keys() - old.keys()) for line in _chain(name, new[name])),
            *(line for (name, some), (_, others) in pairs for line in _lines(name, some, others)),
            *(line for name in sorted(old.keys() - new.keys()) for line in _no_chain(name)),
        )
    )


def chains(rules: Rules) -> dict[str, tuple[str, ...]]:
    """The chains of egress by name, and what each lets out."""
    return {egress.chain(account): account for account in {it.egress for it in rules.egress}}


def number(text: str) -> int:
    """What the map `made` knows a text by."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") or 1


def _chain(name: str, sentences: tuple[str, ...]) -> Iterator[str]:
    yield f"add chain {TABLE} {name}\n"
    yield from (f"add rule {TABLE} {name} {rule}\n" for rule in egress.rules(sentences))


def _no_chain(name: str) -> Iterator[str]:
    yield f"delete chain {TABLE} {name}\n"
    yield f"delete element {TABLE} made {{ {number(name)} }}\n"


def _lines(name: str, new: frozenset[str], old: frozenset[str]) -> Iterator[str]:
    for verb, elements in (("delete", old - new), ("add", new - old)):
        if elements:
            some = {element.partition(" : ")[0] for element in elements} if verb == "delete" else elements
            yield f"{verb} element {TABLE} {name} {{ {', '.join(sorted(some))} }}\n"


def _sets(rules: Rules) -> Iterator[tuple[str, frozenset[str]]]:
    yield "frontends", frozenset(map(str, rules.frontends))
    for name, grants in (("owners", rules.owners), ("peers", rules.peers)):
        yield f"{name}4", _elements(grants, lambda address: ":" not in address)
        yield f"{name}6", _elements(grants, lambda address: ":" in address)
    yield "egress", frozenset([f"{uid} : jump {egress.chain(account)}" for uid, account in rules.egress])
    for family, six in (("4", False), ("6", True)):
        some = [it for it in rules.published if (":" in it.address) == six]
        yield f"published{family}", frozenset([_led(kind, it) for it in some for kind in ("tcp", "udp")])


def _led(kind: str, it: Published) -> str:
    return f"{kind} . {it.port} : {it.address} . {it.to}"


def _elements(grants: Iterable[Grant], fits: Callable[[str], bool]) -> frozenset[str]:
    return frozenset([f"{uid} . {address}" for uid, address in grants if fits(address)])
