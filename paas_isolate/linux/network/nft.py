"""The one door to nftables: libnftables, or the nft command where the library is missing."""

import ctypes
import json
import subprocess
import zlib
from typing import Any, NamedTuple

from paas_isolate.changes import egress
from paas_isolate.changes.ruleset import LOCAL_PORTS, TABLE, chains, change, number, replacement, table
from paas_isolate.errors import HostError
from paas_isolate.linux.process.child import run_forked
from paas_isolate.model.network import EgressAssignment, Grant, Pools, Published, Rules

LIBRARY = "libnftables.so.1"
_JSON, _TERSE = 1 << 4, 1 << 11  # nftables/libnftables.h: NFT_CTX_OUTPUT_…
_MOVES = ("handle", "packets", "bytes", "elem")
"""What differs in a listing though nobody changed a rule."""
_LONG = 4096
"""Bytes: some hundred elements. A child costs as much as a hundred users looked up."""


class Listing(NamedTuple):
    """`whole` tells that every chain and rule is as it was made from these pools, by this version."""

    whole: bool
    rules: Rules


class Nft:
    """Our table in this network namespace; no other is ever read or touched."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._local_ports = _local_ports()

    def observe(self) -> Listing | None:
        """What the table holds; None when there is none."""
        try:
            listed = _listing(f"list table {TABLE}")
        except HostError:
            return None
        rules = _rules(listed)
        return Listing(_made(listed) == self._forms(listed) and chains(rules).keys() == _chains(listed), rules)

    def install(self, rules: Rules) -> int:
        """The whole table, in one transaction; what it looks like then is noted in it by another. Their number."""
        run(replacement(self._pools, rules, self._local_ports))
        return 1 + self._store_fingerprint(self._forms(_listing(f"list table {TABLE}", terse=True)))

    def render(self, rules: Rules) -> bytes:
        """For `lay_spelled`: what `lay` says of these rules, and what the table that stands here notes of itself."""
        made = _made(_listing(f"list map {TABLE} made"))
        return zlib.compress((replacement(self._pools, rules, self._local_ports) + _noting(made)).encode(), 1)

    def install_rendered(self, spelled: bytes) -> None:
        """In one transaction, and without a thought."""
        run(zlib.decompress(spelled).decode())

    def change(self, wanted: Rules, found: Rules) -> int:
        """By element, in one transaction; by two where an egress is new. Their number."""
        text = change(wanted, found)
        if text:
            run(text)
        new = chains(wanted).keys() - chains(found).keys()
        return bool(text) + self._store_fingerprint({number(name): _chain_form(name) for name in new})

    def _store_fingerprint(self, forms: dict[int, int]) -> int:
        if forms:
            run(_noting(forms))
        return bool(forms)

    def _forms(self, listed: list[dict[str, Any]]) -> dict[int, int]:
        """What the map `made` should say: the table's form, and that of each chain of egress."""
        rest = [it for it in listed if not _of_egress(it)]
        each = {number(name): number(_form(_in_chain(listed, name))) for name in _chains(listed)}
        return {number(table(self._pools, self._local_ports)): number(_form(rest))} | each

    def denied(self) -> dict[int, int]:
        """Packets that an egress has denied, by uid, since the table was laid; nothing where it is not."""
        try:
            listed = _of(_listing(f"list set {TABLE} withheld"), "set")[0].get("elem", [])
        except HostError:
            return {}
        return {it["elem"]["val"]: it["elem"]["counter"]["packets"] for it in listed}

    def remove(self) -> None:
        run(f"table {TABLE}\ndelete table {TABLE}\n")


def _local_ports() -> tuple[int, int]:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            first, last = map(int, file.read().split())
    except (OSError, ValueError):
        return LOCAL_PORTS
    return first, last


def _noting(forms: dict[int, int]) -> str:
    return f"add element {TABLE} made {{ {', '.join(f'{name} : {form}' for name, form in forms.items())} }}\n"


def run(text: str, *, flags: int = 0) -> str:
    """What nft says to commands. HostError with its own words when it refuses them: nothing has changed then."""
    library = _library()
    if not library:
        return _by_command(text, flags)
    return _by_library(library, text, flags) if len(text) < _LONG else _without_user_lookup(library, text, flags)


def _without_user_lookup(library: ctypes.CDLL, text: str, flags: int) -> str:
    """libnftables asks for a user of that name first, also where it reads a number (nftables, src/meta.c,
    uid_type_parse), and getpwnam(3) reads /etc/passwd from its beginning: of 10,000 users the table took 15 s. In a
    child that has no users it takes 0.3."""

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
        said: bytes = library.nft_ctx_get_output_buffer(context)
        complaint: bytes = library.nft_ctx_get_error_buffer(context)
    finally:
        library.nft_ctx_free(context)
    if wrong:
        raise _refused(complaint.decode())
    return said.decode()


def _by_command(text: str, flags: int) -> str:
    words = [word for flag, word in ((_JSON, "-j"), (_TERSE, "-t")) if flags & flag]
    # with -j what comes from standard input would have to be JSON
    told = [*words, text] if words else ["-f", "-"]
    try:
        done = subprocess.run(["nft", *told], input=text, capture_output=True, text=True)
    except FileNotFoundError:
        raise HostError("nftables is not installed", hint="apt-get install nftables") from None
    if done.returncode:
        raise _refused(done.stderr)
    return done.stdout


def _refused(said: str) -> HostError:
    return HostError(f"nft: {said.strip().partition(chr(10))[0]}")


def _listing(command: str, *, terse: bool = False) -> list[dict[str, Any]]:
    said = run(command, flags=_JSON | (_TERSE if terse else 0))
    listed: list[dict[str, Any]] = json.loads(said)["nftables"]
    return listed[1:]


def _of(listed: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [it[kind] for it in listed if kind in it]


def _made(listed: list[dict[str, Any]]) -> dict[int, int]:
    return next((dict(it.get("elem", [])) for it in _of(listed, "map") if it["name"] == "made"), {})


def _chains(listed: list[dict[str, Any]]) -> set[str]:
    """The names of those of egress."""
    return {it["name"] for it in _of(listed, "chain") if it["name"].startswith(egress.PREFIX)}


def _of_egress(part: dict[str, Any]) -> bool:
    chain = part.get("chain", {}).get("name") or part.get("rule", {}).get("chain") or ""
    return bool(chain.startswith(egress.PREFIX))


def _in_chain(listed: list[dict[str, Any]], chain: str) -> list[dict[str, Any]]:
    return [it for it in _of(listed, "rule") if it["chain"] == chain]


def _chain_form(chain: str) -> int:
    return number(_form(_in_chain(_listing(f"list chain {TABLE} {chain}", terse=True), chain)))


def _restrained(listed: list[dict[str, Any]]) -> frozenset[EgressAssignment]:
    """A chain's sentences are its rules' comments; of a chain that is not named by them nothing is known."""
    told = {
        name: tuple(dict.fromkeys([rule.get("comment", "") for rule in _in_chain(listed, name)]))
        for name in _chains(listed)
    }
    elements: list[Any] = next((it.get("elem", []) for it in _of(listed, "map") if it["name"] == "egress"), [])
    ends = [(uid, verdict.get("jump", {}).get("target", "")) for uid, verdict in elements]
    return frozenset(
        [EgressAssignment(uid, told[name]) for uid, name in ends if name == egress.chain(told.get(name, ()))]
    )


def _rules(listed: list[dict[str, Any]]) -> Rules:
    sets = {it["name"]: it.get("elem", []) for it in _of(listed, "set")}

    def grants(name: str) -> frozenset[Grant]:
        both = sets.get(f"{name}4", []) + sets.get(f"{name}6", [])
        return frozenset([Grant(*element["concat"]) for element in both])

    return Rules(
        grants("owners"), grants("peers"), frozenset(sets.get("frontends", [])), _published(listed), _restrained(listed)
    )


def _published(listed: list[dict[str, Any]]) -> frozenset[Published]:
    """TCP and UDP come together: what has lost one of them is no longer as it was made."""
    led = [it for each in _of(listed, "map") if each["name"].startswith("published") for it in each.get("elem", [])]
    ends = [(key["concat"], value["concat"]) for key, value in led]
    both = {kind: {Published(port, *to) for (of, port), to in ends if of == kind} for kind in ("tcp", "udp")}
    return frozenset(both["tcp"] & both["udp"])


def _form(listed: list[dict[str, Any]]) -> str:
    return json.dumps([_still(it) for it in listed], sort_keys=True)


def _still(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _still(value) for key, value in part.items() if key not in _MOVES}
    return [_still(value) for value in part] if isinstance(part, list) else part
