"""The tool of the distribution that makes the PAM stacks: pam-auth-update(8) on Debian, authselect(8) on RHEL and its
kin. Their modules have one interface."""

import os
from collections.abc import Sequence
from typing import Protocol

from paas_isolate.errors import HostError
from paas_isolate.linux.pam import auth_update, authselect
from paas_isolate.linux.pam.stack_files import CONFIG, Files


class StackTool(Protocol):
    """Raises HostError when the tool fails, or would overwrite what was edited by hand."""

    @property
    def STACKS(self) -> tuple[str, str]:  # noqa: N802  (a constant of the module)
        """The names of the stacks in /etc/pam.d that get our lines. Services include one of them."""

    @property
    def REMAKE(self) -> str:  # noqa: N802
        """The command that makes the stacks anew."""

    def is_here(self) -> bool:
        """Whether this tool makes the stacks of this machine."""

    def rehearse(self, lines: Sequence[str]) -> dict[str, str]:
        """The text of each of STACKS, by name, as the tool would make it with our lines. No login changes."""

    def switch_on(self, lines: Sequence[str]) -> None: ...

    def switch_off(self) -> None: ...

    def is_on(self) -> bool: ...

    def keep(self) -> Files:
        """The content of every file that the tool may change, for `put_back`."""

    def put_back(self, files: Files) -> None: ...


TOOLS: tuple[StackTool, ...] = (auth_update, authselect)


def stack_tool() -> StackTool:
    """The tool that makes the stacks of this machine. HostError when none of them does."""
    if found := next((tool for tool in TOOLS if tool.is_here()), None):
        return found
    raise HostError(
        "neither pam-auth-update nor authselect makes the PAM stacks of this machine",
        hint="where authselect is installed: authselect select PROFILE --force; without the module, the next "
        "reconcile moves logins into their accounts",
    )


def stack_names() -> tuple[str, str]:
    """STACKS of the tool whose stacks are there. Any user may ask: the tools themselves may be in root's PATH only."""
    return next((tool.STACKS for tool in TOOLS if os.path.exists(f"{CONFIG}/{tool.STACKS[0]}")), auth_update.STACKS)
