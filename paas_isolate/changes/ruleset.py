"""The ruleset as text for nft(8): the table, which changes with the pools alone, and what is in its sets.

Nothing is rendered but networks, addresses and numbers, which have been parsed before.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files

from paas_isolate.model.network import Grant, Pools, Published, Rules

TABLE = "inet paas_isolate"


def table(pools: Pools) -> str:
    from jinja2 import Environment, StrictUndefined  # only a table that is not there pays for it

    template = files(__package__).joinpath("ruleset.nft.j2").read_text(encoding="utf-8")
    plain = Environment(undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701  (no HTML)
    return plain.from_string(template).render(pools=pools)


def replacement(pools: Pools, rules: Rules) -> str:
    """The whole table anew, in one transaction with the end of the one that may be there."""
    return f"table {TABLE}\ndelete table {TABLE}\n{table(pools)}\n{change(rules, Rules())}"


def change(wanted: Rules, found: Rules) -> str:
    """What turns the sets into the wanted ones, by element: counters and everything else live on."""
    pairs = zip(_sets(wanted), _sets(found), strict=True)
    return "".join(line for (name, new), (_, old) in pairs for line in _lines(name, new, old))


def _lines(name: str, new: frozenset[str], old: frozenset[str]) -> Iterator[str]:
    for verb, elements in (("delete", old - new), ("add", new - old)):
        if elements:
            some = {it.partition(" : ")[0] for it in elements} if verb == "delete" else elements
            yield f"{verb} element {TABLE} {name} {{ {', '.join(sorted(some))} }}\n"


def _sets(rules: Rules) -> Iterator[tuple[str, frozenset[str]]]:
    yield "frontends", frozenset(map(str, rules.frontends))
    for name, grants in (("owners", rules.owners), ("peers", rules.peers)):
        yield f"{name}4", _elements(grants, lambda address: ":" not in address)
        yield f"{name}6", _elements(grants, lambda address: ":" in address)
    for family, six in (("4", False), ("6", True)):
        some = [it for it in rules.published if (":" in it.address) == six]
        yield f"published{family}", frozenset([_led(kind, it) for it in some for kind in ("tcp", "udp")])


def _led(kind: str, it: Published) -> str:
    return f"{kind} . {it.port} : {it.address} . {it.to}"


def _elements(grants: Iterable[Grant], fits: Callable[[str], bool]) -> frozenset[str]:
    return frozenset([f"{uid} . {address}" for uid, address in grants if fits(address)])
