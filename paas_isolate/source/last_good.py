"""Last good copies of accounts and of config.yaml, as JSON. They are used while the files are wrong."""

import os
from contextlib import suppress
from typing import Any

from paas_isolate.model.account import Account, Host
from paas_isolate.replace_file import Durability, replace_file
from paas_isolate.source.damaged import ODD
from paas_isolate.spec.names import is_name
from paas_isolate.spec.serialize import VERSION, host_from, plain_host, plain_sold, sold_from

_END = ".json"


class LastGood:
    """`STATE/last-good/host.json` and `STATE/last-good/accounts/NAME.json`."""

    def __init__(self, state: str) -> None:
        self._host = os.path.join(state, "last-good")
        self._accounts = os.path.join(self._host, "accounts")

    def host(self) -> Host | None:
        """None where there is no copy, or none that this version can read."""
        row = _read(self._host, "host")
        with suppress(*ODD):
            return host_from(row) if row else None
        return None

    def account(self, name: str) -> Account | None:
        """None as in `host`."""
        row = _read(self._accounts, name) if is_name(name) else None
        with suppress(*ODD):
            return sold_from(row) if row else None
        return None

    def names(self) -> frozenset[str]:
        """The accounts that have a copy."""
        try:
            files = os.listdir(self._accounts)
        except OSError:
            return frozenset()
        return frozenset([name.removesuffix(_END) for name in files if name.endswith(_END) and name[0] != "."])

    def remember_host(self, host: Host) -> None:
        """As `remember`."""
        _write(self._host, "host", plain_host(host))

    def remember(self, account: Account) -> None:
        """Writes the copy where it differs from the one on disk. Raises OSError where it cannot be written."""
        _write(self._accounts, account.name, plain_sold(account))

    def forget(self, name: str) -> None:
        """Removes the copy of an account that is removed. Raises OSError where it cannot."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._accounts, name + _END))


def _read(directory: str, name: str) -> Any:
    """The copy; None where there is none, or none that this version can read."""
    with suppress(*ODD), open(os.path.join(directory, name + _END), "rb") as file:
        import json  # a run in which nothing is wrong or new reads and writes no copy

        content = json.load(file)
        return content["kept"] if content["version"] == VERSION else None
    return None


def _write(directory: str, name: str, row: dict[str, Any]) -> None:
    import json

    data = json.dumps({"version": VERSION, "kept": row}, sort_keys=True, indent=1).encode() + b"\n"
    with suppress(OSError), open(os.path.join(directory, name + _END), "rb") as file:
        if file.read(len(data) + 1) == data:
            return
    replace_file(os.path.join(directory, name + _END), data, Durability.NONE, makes_directory=True)
