"""The BPF gate: the verifier of this kernel takes it, and it refuses."""

from collections.abc import Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.selftest.scratch import Scratch
from paas_isolate.errors import HostError, in_words
from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.model.network import PINS, Gate, Pools

_PINS = f"{PINS}-selftest"
_POOLS = Pools("198.51.100.0/24", "2001:db8:5e1f::/48")
"""For documentation (RFC 5737, RFC 3849), and no machine's own: what refuses them is this gate and no other."""


def examine(scratch: Scratch) -> Iterator[Check]:
    """The gate is attached to the cgroup of the test alone."""
    cgroup = scratch.leaf("gate")
    gate = BpfGate(_POOLS, AttachPoints(_PINS, scratch.absolute(cgroup), scratch.absolute(scratch.leaf("gate/users"))))
    if unable := gate.unable():
        yield Check("gate", Verdict.SKIPPED, f"{unable}; `network:` has its ruleset alone")
        return
    try:
        gate.set(Gate(), None)
    except (HostError, OSError) as error:
        first, *_ = in_words(error).splitlines()
        yield Check("gate", Verdict.FAILED, first, getattr(error, "hint", ""))
    else:
        yield Check("gate", Verdict.OK, "it loads, and refuses to bind addresses of its pools")
    finally:
        gate.remove()
