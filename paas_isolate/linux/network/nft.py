"""nftables, by libnftables or, where the library is missing, by the nft command. Nothing else of ours runs nft."""

import ctypes
import json
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from paas_isolate.changes import egress
from paas_isolate.changes.ruleset import LOCAL_PORTS, TABLE, chains, change, number, replacement, table
from paas_isolate.errors import HostError
from paas_isolate.linux.process.child import run_forked
from paas_isolate.linux.system import packages
from paas_isolate.model.network import EgressAssignment, Grant, Pools, Published, RangeEgress, Rules, UidRange

LIBRARY = "libnftables.so.1"
_JSON, _TERSE = 1 << 4, 1 << 11  # nftables/libnftables.h: NFT_CTX_OUTPUT_…
_CHANGING = ("handle", "packets", "bytes", "elem")
"""Keys of a listing whose values change though nobody has changed a rule."""
_LONG = 4096
"""Bytes, of some hundred elements: a child costs as much as looking up a hundred users."""


class Listing(NamedTuple):
    """`whole`: every chain and rule is as this version makes it from these pools."""

    whole: bool
    rules: Rules


class Nft:
    """Our table in this network namespace; no other is ever read or touched."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._local_ports = _local_ports()

    def observe(self) -> Listing | None:
        """What the table holds; None when there is no such table, or nft cannot list it."""
        try:
            listing = listing_of(f"list table {TABLE}")
        except HostError:
            return None
        rules = _rules(listing)
        whole = _fingerprints(listing) == self._expected(listing) and chains(rules).keys() == _chains(listing)
        return Listing(whole, rules)

    def install(self, rules: Rules) -> int:
        """Replace the whole table in one transaction; a second stores in it the fingerprints of what nft lists then.
        The number of transactions. HostError with nft's own words."""
        run(replacement(self._pools, rules, self._local_ports))
        return 1 + self._store_fingerprint(self._expected(listing_of(f"list table {TABLE}", terse=True)))

    def render(self, rules: Rules) -> bytes:
        """Compressed text for `install_rendered`: what `install` says for these rules, and the fingerprints that the
        table has now, which must hold these rules already. HostError with nft's own words."""
        stored = _fingerprints(listing_of(f"list map {TABLE} fingerprints"))
        return zlib.compress((replacement(self._pools, rules, self._local_ports) + _storing(stored)).encode(), 1)

    def install_rendered(self, rendered: bytes) -> None:
        """Replace the whole table by what `render` made, in one transaction. HostError with nft's own words."""
        run(zlib.decompress(rendered).decode())

    def change(self, wanted: Rules, found: Rules) -> int:
        """Change the table by element, in one transaction; a second stores the fingerprints of new chains of egress.
        The number of transactions. HostError with nft's own words."""
        text = change(wanted, found)
        if text:
            run(text)
        new = chains(wanted).keys() - chains(found).keys()
        return bool(text) + self._store_fingerprint(
            {number(name): _chain_fingerprint(_chain_listing(name), name) for name in new}
        )

    def _store_fingerprint(self, fingerprints: dict[int, int]) -> int:
        if fingerprints:
            run(_storing(fingerprints))
        return bool(fingerprints)

    def _expected(self, listing: list[dict[str, Any]]) -> dict[int, int]:
        """What the map `fingerprints` should hold for this listing: that of the table without the chains of egress, and
        those of these chains."""
        names = _chains(listing)
        rest = [part for part in listing if not _of_chains(part, names)]
        of_chains = {number(name): _chain_fingerprint(listing, name) for name in names}
        made = table(self._pools, self._local_ports, translates=_translates(listing))
        return {number(made): number(_canonical(rest))} | of_chains

    def denied(self) -> dict[int, int]:
        """Packets that an egress has denied since the table was installed, by uid; empty where there is no table."""
        return _counted("denied")

    def mail_connections(self) -> dict[int, int]:
        """New connections to mail servers elsewhere since the table was installed, by uid, without those that an egress
        has denied; empty where there is no table."""
        return _counted("mail")

    def datagram_bytes(self) -> dict[int, int]:
        """Bytes, with IP headers, of the UDP packets to other machines since the table was installed, by uid; empty
        where there is no table."""
        return _counted("datagrams", "bytes")

    def remove(self) -> None:
        """Remove our table, in one transaction. One that is missing is no error. HostError with nft's own words."""
        run(f"table {TABLE}\ndelete table {TABLE}\n")


def _counted(name: str, what: str = "packets") -> dict[int, int]:
    """The counters of a set by uid: "packets" or "bytes"."""
    try:
        elements = parts_of(listing_of(f"list set {TABLE} {name}"), "set")[0].get("elem", [])
    except HostError:
        return {}
    return {element["elem"]["val"]: element["elem"]["counter"][what] for element in elements}


def _local_ports() -> tuple[int, int]:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            first, last = map(int, file.read().split())
    except (OSError, ValueError):
        return LOCAL_PORTS
    return first, last


def _storing(fingerprints: dict[int, int]) -> str:
    elements = ", ".join(f"{name} : {fingerprint}" for name, fingerprint in fingerprints.items())
    return f"add element {TABLE} fingerprints {{ {elements} }}\n"


def run(text: str, *, flags: int = 0) -> str:
    """The output of nft(8) for commands; `flags` are those of nft_ctx_output_set_flags. HostError with nft's own words
    when it refuses them: nothing has changed then."""
    library = _library()
    if not library:
        return _by_command(text, flags)
    return _by_library(library, text, flags) if len(text) < _LONG else _without_user_lookup(library, text, flags)


def _without_user_lookup(library: ctypes.CDLL, text: str, flags: int) -> str:
    """libnftables looks for a user of that name first, even where it reads a number (nftables, src/meta.c,
    uid_type_parse), and getpwnam(3) reads /etc/passwd from its beginning: with 10,000 users the table took 15 s. In a
    child whose name service knows no users it takes 0.3 s."""

    def in_child() -> tuple[bool, str]:
        ctypes.CDLL(None).__getattr__("__nss_configure_lookup")(b"passwd", b"files_of_nobody")
        try:
            return True, _by_library(library, text, flags)
        except HostError as error:
            return False, str(error)

    try:
        accepted, answer = run_forked(in_child, what="nft")
    except OSError:  # no child can be had, or it was killed
        return _by_library(library, text, flags)
    if not accepted:
        message, _, hint = answer.partition("\n  ")
        raise HostError(message, hint=hint)
    return answer


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


def _by_library(library: ctypes.CDLL, text: str, flags: int) -> str:
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    try:
        library.nft_ctx_output_set_flags(context, flags)
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        wrong = library.nft_run_cmd_from_buffer(context, text.encode())
        output: bytes = library.nft_ctx_get_output_buffer(context)
        complaint: bytes = library.nft_ctx_get_error_buffer(context)
    finally:
        library.nft_ctx_free(context)
    if wrong:
        raise _refused(complaint.decode())
    return output.decode()


def _by_command(text: str, flags: int) -> str:
    options = [option for flag, option in ((_JSON, "-j"), (_TERSE, "-t")) if flags & flag]
    # with -j, standard input would have to be JSON
    arguments = [*options, text] if options else ["-f", "-"]
    try:
        done = subprocess.run(["nft", *arguments], input=text, capture_output=True, text=True)
    except FileNotFoundError:
        raise HostError("nftables is not installed", hint=packages.install("nftables")) from None
    if done.returncode:
        raise _refused(done.stderr)
    return done.stdout


def _refused(complaint: str) -> HostError:
    return HostError(f"nft: {complaint.strip().partition(chr(10))[0]}")


def listing_of(command: str, *, terse: bool = False) -> list[dict[str, Any]]:
    """The parts of nft's JSON (libnftables-json(5)), without the first, which tells its version."""
    output = run(command, flags=_JSON | (_TERSE if terse else 0))
    listing: list[dict[str, Any]] = json.loads(output)["nftables"]
    return listing[1:]


def parts_of(listing: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The parts of one kind, such as `map` or `rule`."""
    return [part[kind] for part in listing if kind in part]


def _fingerprints(listing: list[dict[str, Any]]) -> dict[int, int]:
    """What the map `fingerprints` holds."""
    return next((dict(part.get("elem", [])) for part in parts_of(listing, "map") if part["name"] == "fingerprints"), {})


def _chains(listing: list[dict[str, Any]]) -> set[str]:
    """The names of the chains of egress and of its limits."""
    return {chain["name"] for chain in parts_of(listing, "chain") if chain["name"].startswith(egress.PREFIXES)}


def _translates(listing: list[dict[str, Any]]) -> bool:
    """Whether the table has chains of NAT."""
    return any(chain.get("type") == "nat" for chain in parts_of(listing, "chain"))


def _of_chains(part: dict[str, Any], names: set[str]) -> bool:
    return any(
        part.get(kind, {}).get(key) in names for kind, key in (("chain", "name"), ("rule", "chain"), ("set", "name"))
    )


def _in_chain(listing: list[dict[str, Any]], chain: str) -> list[dict[str, Any]]:
    return [rule for rule in parts_of(listing, "rule") if rule["chain"] == chain]


def _chain_listing(chain: str) -> list[dict[str, Any]]:
    sets = listing_of(f"list set {TABLE} {chain}", terse=True) if chain.startswith(egress.LIMIT) else []
    return listing_of(f"list chain {TABLE} {chain}", terse=True) + sets


def _chain_fingerprint(listing: list[dict[str, Any]], chain: str) -> int:
    """That of its rules and, for a limit, of its set."""
    sets = [part for part in parts_of(listing, "set") if part["name"] == chain]
    return number(_canonical([*_in_chain(listing, chain), *sets]))


def _egress(listing: list[dict[str, Any]]) -> tuple[frozenset[EgressAssignment], frozenset[RangeEgress]]:
    """The comments of a chain's rules are the sentences of the egress. A chain's name is made of them: one whose name
    does not fit was changed, and is left out."""
    sentences = {
        name: tuple(dict.fromkeys([rule.get("comment", "") for rule in _in_chain(listing, name)]))
        for name in _chains(listing)
    }
    maps = {part["name"]: part.get("elem", []) for part in parts_of(listing, "map")}

    def assigned(name: str) -> Iterator[tuple[Any, tuple[str, ...]]]:
        for key, verdict in maps.get(name, []):
            target = verdict.get("jump", {}).get("target", "")
            if target == egress.chain(sentences.get(target, ())):
                yield key, sentences[target]

    return (
        frozenset([EgressAssignment(uid, own) for uid, own in assigned("egress")]),
        frozenset([RangeEgress(*uid_range(key), own) for key, own in assigned("range_egress")]),
    )


def uid_range(element: Any) -> UidRange:
    """An element of an interval set in nft's JSON, which is a number where first and last are the same."""
    return UidRange(element, element) if isinstance(element, int) else UidRange(*element["range"])


def _rules(listing: list[dict[str, Any]]) -> Rules:
    sets = {part["name"]: part.get("elem", []) for part in parts_of(listing, "set")}

    def grants(name: str) -> frozenset[Grant]:
        both = sets.get(f"{name}4", []) + sets.get(f"{name}6", [])
        return frozenset([Grant(*element["concat"]) for element in both])

    by_uid, by_range = _egress(listing)
    return Rules(
        owners=grants("owners"),
        peers=grants("peers"),
        frontends=frozenset(sets.get("frontends", [])),
        published=_published(listing),
        egress=by_uid,
        subordinates=frozenset(map(uid_range, sets.get("subordinates", []))),
        range_egress=by_range,
        translates=_translates(listing),
    )


def _published(listing: list[dict[str, Any]]) -> frozenset[Published]:
    """Ports that are published for TCP and for UDP: one that has lost either is no longer as it was made."""
    maps = [part for part in parts_of(listing, "map") if part["name"].startswith("published")]
    elements = [(key["concat"], value["concat"]) for part in maps for key, value in part.get("elem", [])]
    by_protocol = {
        wanted: {Published(port, *to) for (protocol, port), to in elements if protocol == wanted}
        for wanted in ("tcp", "udp")
    }
    return frozenset(by_protocol["tcp"] & by_protocol["udp"])


def _canonical(listing: list[dict[str, Any]]) -> str:
    """A text that is the same for the same rules, whatever their handles and counters."""
    return json.dumps([_constant(part) for part in listing], sort_keys=True)


def _constant(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _constant(value) for key, value in part.items() if key not in _CHANGING}
    return [_constant(value) for value in part] if isinstance(part, list) else part
