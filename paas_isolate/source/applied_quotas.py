"""Remembers the quotas that we have set, so that they can be lifted when no account has them any more."""

import os
from collections.abc import Mapping

from paas_isolate.model.quota import QuotaKey
from paas_isolate.replace_file import Durability, replace_file
from paas_isolate.source.damaged import ODD

FILE = "quotas.json"


class AppliedQuotas:
    """STATE/quotas.json: by file system and uid, the account directory that the quota was set for."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, FILE)

    def there(self) -> bool:
        """Whether the file exists: whether a quota was ever set."""
        return os.path.exists(self._path)

    def load(self) -> dict[QuotaKey, str]:
        """The quotas that were set. Empty where the file is missing or damaged: then none is lifted, and the quotas of
        today's accounts are recorded again."""
        try:
            with open(self._path, encoding="utf-8") as file:
                import json  # most machines have never set a quota

                plain = json.load(file)
            return {
                QuotaKey(system, int(uid)): str(directory)
                for system, directories in plain.items()
                for uid, directory in directories.items()
            }
        except ODD:
            return {}

    def save(self, given: Mapping[QuotaKey, str]) -> None:
        """Replaces the file as a whole. Returns once it is on the disk. Raises OSError where it cannot be written."""
        import json

        plain: dict[str, dict[str, str]] = {}
        for key, directory in sorted(given.items()):
            plain.setdefault(key.system, {})[str(key.uid)] = directory
        replace_file(self._path, json.dumps(plain, indent=1).encode(), Durability.NAME, makes_directory=True)
