"""Exit statuses, the same for every command."""

from enum import IntEnum

from paas_isolate.errors import BusyError, HostError, PaasError, SpecError


class Exit(IntEnum):
    CONVERGED = 0
    ERROR = 1
    WRONG = 2  # wrong usage, or a wrong specification
    DIFFERS = 3
    PARTLY = 4  # something is pending, waits, or is kept at its last good state
    UNFIT = 5  # this host
    BUSY = 75  # another run holds the lock (EX_TEMPFAIL of sysexits.h)


def exit_of(error: PaasError) -> Exit:
    """The exit status after an error. It depends on who must act."""
    match error:
        case SpecError():
            return Exit.WRONG
        case BusyError():
            return Exit.BUSY
        case HostError():
            return Exit.UNFIT
    return Exit.ERROR
