"""One run over the files. A file whose identity is in the cache is taken from there; any other is parsed."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from paas_isolate.errors import Complaint, SpecError, Trouble, trouble
from paas_isolate.source.cache import Entry
from paas_isolate.source.files import SafeDirectory, UnfitError, identity, settled
from paas_isolate.spec import serialize as plain


class DocumentKind(NamedTuple):
    """A kind of document: `plain` makes its model into a row for the cache, `back` makes a row into the model."""

    name: str
    plain: Callable[[Any], dict[str, Any]]
    back: Callable[[dict[str, Any]], Any]

    def parse(self, data: bytes, file: str) -> Any:
        """The model. Raises SpecError with every mistake of the file. `file` is its name in complaints."""
        from paas_isolate.spec.parse import DOCUMENTS  # a run in which nothing has changed does without the import

        return DOCUMENTS[self.name](data, file)


HOST = DocumentKind("host", plain.plain_host, plain.host_from)
PLAN = DocumentKind("plan", plain.plain_plan, plain.plan_from)
ACCOUNT = DocumentKind("account", plain.plain_account, plain.account_from)


class SpecReader:
    """The files of one run. `before` are those of the last run; `draft` are bytes that are read instead of files. Both
    are by name (`accounts.d/alice.yaml`)."""

    def __init__(self, before: dict[str, Entry], draft: Mapping[str, bytes]) -> None:
        self.before = before
        self.draft = draft
        self.files: dict[str, Entry] = {}
        self.parsed: set[str] = set()
        self.complaints: list[Complaint] = []
        self.broken: dict[str, Trouble] = {}
        """Unexpected exceptions (our bugs), by file."""

    def take(self, files: SafeDirectory, name: str, status: os.stat_result, kind: DocumentKind) -> Any:
        """The model of one file; None where it was refused. Raises FileNotFoundError where it is gone."""
        shown = files.shown + name
        entry = self.before.get(shown)
        if entry is None or entry.identity != identity(status):
            return self._take_anew(files, name, kind)
        self.files[shown] = entry
        if entry.complaints:
            self.complaints += entry.complaints
        try:
            return None if entry.row is None else kind.back(entry.row)
        except Exception as error:  # noqa: BLE001  (an error in one file costs that file alone)
            self.broken[shown] = trouble(error)
            return None

    def _take_anew(self, files: SafeDirectory, name: str, kind: DocumentKind) -> Any:
        """The model as it was parsed: only a later run makes it from the row."""
        entry, model = self._parse(files, name, kind)
        shown = files.shown + name
        self.parsed.add(shown)
        self.files[shown] = entry
        self.complaints += entry.complaints
        return model

    def drafts(self, shown: str, kind: DocumentKind) -> Iterator[tuple[str, Any]]:
        """File name and model of each draft in a directory (`accounts.d/`). Raises SpecError where a draft is wrong."""
        for file, data in self.draft.items():
            if file.startswith(shown):
                yield file.removeprefix(shown), kind.parse(data, file)

    def _parse(self, files: SafeDirectory, name: str, kind: DocumentKind) -> tuple[Entry, Any]:
        """The cache entry of a file and its model. The model is None where the file was refused."""
        now, shown = time.time_ns(), files.shown_name(name)
        try:
            data, read_as = files.read(name)
        except UnfitError as unfit:
            # no identity: the reason for the refusal may go away and leave no trace in it
            return Entry(None, None, (unfit.complaint,)), None
        trusted = read_as if settled(read_as, now) else None
        try:
            model = kind.parse(data, shown)
            return Entry(trusted, kind.plain(model)), model
        except SpecError as wrong:
            return Entry(trusted, None, wrong.complaints), None
        except Exception as error:  # noqa: BLE001  (an error in one file costs that file alone)
            self.broken[shown] = bug = trouble(error)
            complaint = Complaint(shown, f"cannot be used: an error of paas-isolate's own: {bug.what}")
            return Entry(None, None, (complaint,)), None

    @property
    def changed(self) -> bool:
        """Whether the cache has to be written."""
        same = all(self.before.get(name) == self.files[name] for name in self.parsed)
        return not same or self.files.keys() != self.before.keys()

    @property
    def news(self) -> frozenset[str]:
        """The names of files that say something else than at the last run."""
        return frozenset(name for name in self.parsed if _row(self.before, name) != _row(self.files, name))


def _row(files: dict[str, Entry], name: str) -> dict[str, Any] | None:
    return files[name].row if name in files else None
