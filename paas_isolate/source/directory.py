"""Reads the directory that administrators edit (`/etc/paas-isolate`) into a Fleet."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from paas_isolate.errors import Complaint, SpecError, trouble, without_broken
from paas_isolate.model.account import Account, Fleet, Host, Plan
from paas_isolate.model.machine import Machine
from paas_isolate.source import cache
from paas_isolate.source.cache import SpecCache
from paas_isolate.source.files import SafeDirectory, UnfitError
from paas_isolate.source.last_good import LastGood
from paas_isolate.source.spec_reader import ACCOUNT, HOST, PLAN, DocumentKind, SpecReader
from paas_isolate.spec.gather import UnusableFiles, gather
from paas_isolate.spec.names import is_name, shown_file
from paas_isolate.spec.resolve import CONFIG, UserDatabase

PLANS, ACCOUNTS = "plans.d", "accounts.d"
END = ".yaml"


class SpecDirectory:
    """`etc` has the specifications, `state` the last good copies and the cache. `owner` is the uid that every
    specification must belong to."""

    def __init__(self, etc: str, state: str, owner: int = 0) -> None:
        self.etc, self.state, self.owner = etc, state, owner
        self.last_good = LastGood(state)

    def load(
        self, people: UserDatabase, machine: Machine, *, remember: bool = True, draft: Mapping[str, bytes] | None = None
    ) -> Fleet:
        """All accounts, by the files as they are now. Mistakes in files are in `Fleet.complaints`.

        Without `remember` nothing is written, for commands that only look. A draft is used instead of the file that it
        names (`accounts.d/alice.yaml`), or beside the others where there is none; it needs `remember=False`.

        Raises SpecError where config.yaml cannot be used and has no last good copy, or where a draft is wrong.
        """
        cached = cache.load(self.state)
        reader = SpecReader(cached.files if cached else {}, draft or {})
        host = self._host(reader)
        plans, wrong_plans = self._plans(reader)
        accounts, wrong_accounts, missing = self._accounts(reader)
        remembered = self.last_good.names()

        def gathered(names: Sequence[str], wrong: Mapping[str, str]) -> Fleet:
            selected = accounts if len(names) == len(accounts) else {name: accounts[name] for name in names}
            return gather(
                host,
                plans,
                selected,
                people,
                machine,
                self.last_good.account,
                wrong=UnusableFiles(wrong_plans, wrong),
                text_of=lambda file: (draft or {}).get(file) or self._text_of(file),
                remembered=remembered,
            )

        def all_but(names: Sequence[str]) -> Fleet:
            others = dict.fromkeys(accounts.keys() - set(names), "it is left as it was")
            return gathered(names, {**wrong_accounts, **others})

        fleet, broken = without_broken(all_but, tuple(accounts), lambda names: gathered(names, {}))
        fleet = fleet._replace(complaints=(*reader.complaints, *fleet.complaints), removal_blocked=missing)
        fleet = fleet.with_broken(broken | {_account_or_file(file): error for file, error in reader.broken.items()})
        return self._remember(fleet, reader, cached, remembered) if remember else fleet

    def host(self) -> Host:
        """config.yaml alone; its last good copy where it is wrong. SpecError where there is neither."""
        return self._host(SpecReader({}, {}))

    def plans(self) -> dict[str, Plan]:
        """The plans of plans.d that can be used."""
        return self._plans(SpecReader({}, {}))[0]

    def _host(self, reader: SpecReader) -> Host:
        try:
            with self.opened("") as files:
                status = os.stat(CONFIG, dir_fd=files.descriptor, follow_symlinks=False)
                host: Host | None = reader.take(files, CONFIG, status, HOST)
        except FileNotFoundError:
            from paas_isolate.spec.parse import DEFAULT  # not imported where there is a config.yaml

            return DEFAULT
        except OSError as error:
            host = None
            reader.complaints.append(Complaint(CONFIG, _cannot(error)))
        host = host or self.last_good.host()
        if host is None:
            raise SpecError(tuple(reader.complaints))
        return host

    def _plans(self, reader: SpecReader) -> tuple[dict[str, Any], dict[str, str]]:
        try:
            return self._all(reader, PLANS, PLAN)
        except FileNotFoundError:
            return {}, {}
        except OSError as error:  # an account that names a plan keeps its last good copy, for the plan is not known
            reader.complaints.append(Complaint(PLANS, _cannot(error)))
            return {}, {}

    def _accounts(self, reader: SpecReader) -> tuple[dict[str, Any], dict[str, str], str]:
        """Without the directory no account is removed: each keeps its last good copy."""
        try:
            return *self._all(reader, ACCOUNTS, ACCOUNT), ""
        except OSError as error:
            missing = f"{ACCOUNTS} {_cannot(error)}"
            reader.complaints.append(Complaint(ACCOUNTS, _cannot(error)))
            return {}, dict.fromkeys(sorted(self.last_good.names()), missing), missing

    def _all(self, reader: SpecReader, directory: str, kind: DocumentKind) -> tuple[dict[str, Any], dict[str, str]]:
        """The models of a directory's files by name; and the names of files that cannot be used, with the reason."""
        models, wrong = {}, {}
        with self.opened(directory) as files:
            self._check_directory(reader, files)
            for name, model in reader.drafts(files.shown, kind):
                models[name.removesuffix(END)] = model
            for name, status in _listing(files, reader):
                stem = name.removesuffix(END)
                if stem in models:
                    continue
                try:
                    model = reader.take(files, name, status, kind)
                except FileNotFoundError:  # removed since it was listed
                    continue
                if model is not None:
                    models[stem] = model
                elif is_name(stem):
                    wrong[stem] = f"{files.shown}{name} cannot be used"
        return models, wrong

    def _check_directory(self, reader: SpecReader, files: SafeDirectory) -> None:
        status = os.fstat(files.descriptor)
        if status.st_uid not in (0, self.owner) or status.st_mode & 0o022:
            mend = f"chown root {files.path} && chmod go-w {files.path}"
            text = f"may be changed by others, who can take accounts away; run: {mend}"
            reader.complaints.append(Complaint(files.shown, text, warning=True))

    @contextmanager
    def opened(self, directory: str) -> Iterator[SafeDirectory]:
        """The files of plans.d, of accounts.d, or of `etc` itself (''). Raises OSError where it cannot be opened."""
        path = os.path.join(self.etc, directory) if directory else self.etc
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield SafeDirectory(descriptor, f"{directory}/" if directory else "", path, self.owner)
        finally:
            os.close(descriptor)

    def located(self, fleet: Fleet, draft: Mapping[str, bytes] | None = None) -> Fleet:
        """The fleet with line and column in its warnings. For commands that a person reads: it parses the files again,
        which is too slow for a run each minute. `draft` is that of `load`."""
        from paas_isolate.spec.read import locate, read_again

        files = {
            complaint.file
            for complaint in fleet.complaints
            if complaint.warning and not complaint.line and complaint.key
        }
        nodes = {file: read_again((draft or {}).get(file) or self._text_of(file)) for file in files}

        def placed(complaint: Complaint) -> Complaint:
            without_place = complaint.warning and not complaint.line and complaint.key
            node = nodes.get(complaint.file) if without_place else None
            line, column = locate(node, complaint.key)
            if not line:  # the key is not in the file: point at the account's name
                line, column = locate(node, "account")
            return complaint._replace(line=line, column=column) if line else complaint

        return fleet._replace(complaints=tuple(map(placed, fleet.complaints)))

    def _text_of(self, file: str) -> bytes:
        """Reads a file again, for the line of a mistake. Empty where it cannot be read any more."""
        directory, _, name = file.rpartition("/")
        with suppress(OSError, UnfitError), self.opened(directory) as files:
            return files.read(name)[0]
        return b""

    def _remember(
        self, fleet: Fleet, reader: SpecReader, cached: SpecCache | None, remembered: frozenset[str]
    ) -> Fleet:
        """Writes the last good copies and the cache. What cannot be written is reported and does not stop the run."""
        copies = cached.copies if cached else {}
        stale = _stale(fleet, reader, copies if cached else None, remembered)
        try:
            if cached is None or CONFIG in reader.news:
                self._remember_host(fleet, reader)
            fleet = self._remember_all(fleet, stale)
            now = {name: copies[name] for name in fleet.accounts if name in copies}
            now |= {account.name: (dict(account.uids), account.home) for account in stale}
            if reader.changed or cached is None or now != copies:
                cache.save(self.state, SpecCache(reader.files, now), cached)
        except OSError as error:
            warning = Complaint(self.state, f"{_cannot(error, 'written')}; the last good copies are old", warning=True)
            return fleet._replace(complaints=(*fleet.complaints, warning))
        except Exception as error:  # noqa: BLE001  (what is not cached is parsed again by the next run)
            return fleet.with_broken({"the cache of the specifications": trouble(error)})
        return fleet

    def _remember_all(self, fleet: Fleet, stale: list[Account]) -> Fleet:
        broken = {}
        for account in stale:
            try:
                self.last_good.remember(account)
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001  (this copy stays old; the others are written)
                broken[account.name] = trouble(error)
        return fleet.with_broken(broken)

    def _remember_host(self, fleet: Fleet, reader: SpecReader) -> None:
        if CONFIG in reader.files and reader.files[CONFIG].row is not None:
            self.last_good.remember_host(fleet.host)


def _account_or_file(file: str) -> str:
    """`alice` for `accounts.d/alice.yaml`; any other file as it is."""
    return file.removeprefix(f"{ACCOUNTS}/").removesuffix(END) if file.startswith(f"{ACCOUNTS}/") else file


def _listing(files: SafeDirectory, reader: SpecReader) -> Iterator[tuple[str, os.stat_result]]:
    """The specifications of a directory in the order of their names, so that complaints always come in one order."""
    with os.scandir(files.descriptor) as entries:
        listed = sorted([(entry.name, entry) for entry in entries if not entry.name.startswith(".")])
    for name, entry in listed:
        if name.endswith(END):
            try:  # not `suppress`: that takes a third of the time of the stat(2) itself
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield name, status
        elif name.endswith(".yml"):
            text = f"is not read; name it {shown_file(name.removesuffix('.yml') + END)}"
            reader.complaints.append(Complaint(files.shown_name(name), text, warning=True))


def _stale(
    fleet: Fleet,
    reader: SpecReader,
    copies: dict[str, tuple[dict[str, int], str]] | None,
    remembered: frozenset[str],
) -> list[Account]:
    """The accounts whose last good copy may differ. No copy is opened, for there may be 10,000."""
    good = (account for account in fleet.accounts.values() if account.name not in fleet.on_last_good)
    changed = reader.news
    if copies is None or CONFIG in changed:
        return list(good)
    plans = {file.removeprefix(f"{PLANS}/").removesuffix(END) for file in changed if file.startswith(PLANS)}
    names = {_account_or_file(file) for file in changed if file.startswith(ACCOUNTS)}
    return [
        account
        for account in good
        if account.plan in plans
        or account.name in names
        or copies.get(account.name) != (account.uids, account.home)
        or account.name not in remembered
    ]


def _cannot(error: OSError, done: str = "read") -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"cannot be {done}: {os.strerror(error.errno or 0)}"
