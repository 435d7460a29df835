"""The private addresses of an account: from its owner's uid, or as its file says."""

from socket import AF_INET, AF_INET6, AddressFamily, inet_ntop, inet_pton

from paas_isolate.model.account import Host, NetworkConfig

_SIZES = {AF_INET: 4, AF_INET6: 16}


class AddressAllocator:
    """Computes addresses: pool + 1 + (uid - first_uid), or what the file gives. It needs no stored state."""

    def __init__(self, host: Host, network: NetworkConfig) -> None:
        self._pools = _Pool(AF_INET, network.pool), _Pool(AF_INET6, network.pool6)
        self._first = host.first_uid

    def addresses(self, given: tuple[str, ...], uid: int) -> tuple[str, ...]:
        """The IPv4 and the IPv6 address. `given` are those in the account's file, at most one of each family; a missing
        one comes from `uid`. Raises ValueError, with the text of the complaint, where an address is not in its pool, or
        where the pool has none for the uid."""
        by_family = {AF_INET6 if ":" in address else AF_INET: address for address in given}
        number = 1 + uid - self._first
        return tuple([self._given(pool, by_family) or self._by_uid(pool, number, uid) for pool in self._pools])

    def _given(self, pool: "_Pool", by_family: dict[AddressFamily, str]) -> str:
        if not (address := by_family.get(pool.family, "")) or pool.has(pool.number(address)):
            return address
        raise ValueError(f"is {address}; expected an address of {pool.text}, but for its first and its last")

    def _by_uid(self, pool: "_Pool", number: int, uid: int) -> str:
        if pool.has(number):
            return pool.address(number)
        text = f"has the uid {uid}, and {pool.text} has no address {number}"
        raise ValueError(f"{text}; widen the pool in config.yaml, or write an `address:` of it in the account's file")


class _Pool:
    """A network, and its addresses by their number in it. The first and the last are never given out."""

    def __init__(self, family: AddressFamily, text: str) -> None:
        network, _, bits = text.partition("/")
        self.text, self.family = text, family
        self._size = _SIZES[family]
        self._last = (1 << (8 * self._size - int(bits))) - 1
        self._first = int.from_bytes(inet_pton(family, network), "big")

    def has(self, number: int) -> bool:
        return 0 < number < self._last

    def address(self, number: int) -> str:
        return inet_ntop(self.family, (self._first + number).to_bytes(self._size, "big"))

    def number(self, address: str) -> int:
        return int.from_bytes(inet_pton(self.family, address), "big") - self._first
