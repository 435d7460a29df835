"""Which destinations `net test` tries for an egress."""

import pytest

from paas_isolate.network_selftest.destinations import SOMEWHERE, Destination, denied_examples, is_denied

DNS = Destination("203.0.113.1", 53, "udp")


@pytest.mark.parametrize(
    ("egress", "count"),
    [
        ((), 0),
        (("deny all",), 4),
        (("deny smtp",), 2),  # by TCP only
        (("deny dns",), 4),
        (("allow 203.0.113.0/24", "deny all"), 2),
        (("allow port 1-100", "deny all"), 0),
        (("deny metadata",), 4),
        (("deny private",), 6),
        (("deny 10.0.0.0/8 port 25-30",), 2),
        (("deny 2001:db8::1",), 2),
        (("deny port 443",), 4),
        (("limit smtp 1/d",), 0),
        (("deny smtp", "limit smtp 1/d"), 2),
    ],
)
def test_the_examples_are_denied(egress: tuple[str, ...], count: int) -> None:
    found = denied_examples(egress)
    assert len(found) == count
    assert all(is_denied(egress, to) for to in found)


def test_the_first_sentence_that_covers_a_destination_decides() -> None:
    assert not is_denied(("allow dns", "deny all"), DNS)
    assert is_denied(("deny 203.0.113.0/24", "allow all"), DNS)
    assert not is_denied(("deny metadata", "deny private", "deny smtp"), DNS)
    assert is_denied(("deny private",), Destination("fd00::1", 80, "tcp"))
    assert not is_denied(("deny all",)[:0], Destination(SOMEWHERE[True], 9, "tcp"))
