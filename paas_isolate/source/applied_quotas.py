"""Which users of which file systems were given a quota: what is to be lifted, once nobody is sold it any more."""

import os
from collections.abc import Mapping

from paas_isolate.model.quota import QuotaKey
from paas_isolate.replace_file import Durability, replace_file
from paas_isolate.source.damaged import ODD

FILE = "quotas.json"


class AppliedQuotas:
    """The file, in the directory of the state. By file system and uid it has the account's directory."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, FILE)

    def there(self) -> bool:
        return os.path.exists(self._path)

    def load(self) -> dict[QuotaKey, str]:
        """Nothing where it is lost or damaged: then nothing is lifted, and what is sold is written down anew."""
        try:
            with open(self._path, encoding="utf-8") as file:
                import json  # most machines have never given any

                plain = json.load(file)
            return {QuotaKey(system, int(uid)): str(it) for system, rows in plain.items() for uid, it in rows.items()}
        except ODD:
            return {}

    def save(self, given: Mapping[QuotaKey, str]) -> None:
        """Whole or not at all, and on the disk before anybody acts by it."""
        import json

        plain: dict[str, dict[str, str]] = {}
        for row, directory in sorted(given.items()):
            plain.setdefault(row.system, {})[str(row.uid)] = directory
        replace_file(self._path, json.dumps(plain, indent=1).encode(), Durability.NAME, makes_directory=True)
