"""The directory that administrators write (`/etc/paas-isolate`), into everything that is sold."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from paas_isolate.errors import Complaint, SpecError, trouble, without_broken
from paas_isolate.model.account import Account, Fleet, Host
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
    """`owner` is the uid that files must belong to."""

    def __init__(self, etc: str, state: str, owner: int = 0) -> None:
        self.etc, self.state, self.owner = etc, state, owner
        self.last_good = LastGood(state)

    def load(
        self, people: UserDatabase, machine: Machine, *, remember: bool = True, draft: Mapping[str, bytes] | None = None
    ) -> Fleet:
        """All files as they are now. Raises SpecError when config.yaml is wrong and never was right.

        Without `remember` nothing is written, for commands that only look. A `draft` counts in the place of the
        file that it names (`accounts.d/alice.yaml`), whether there is one or not, and is never remembered.
        """
        kept = cache.load(self.state)
        reading = SpecReader(kept.files if kept else {}, draft or {})
        host = self._host(reading)
        plans, wrong_plans = self._plans(reading)
        accounts, wrong_accounts, missing = self._accounts(reading)
        remembered = self.last_good.names()

        def gathered(names: Sequence[str], wrong: Mapping[str, str]) -> Fleet:
            these = accounts if len(names) == len(accounts) else {name: accounts[name] for name in names}
            return gather(
                host,
                plans,
                these,
                people,
                machine,
                self.last_good.account,
                wrong=UnusableFiles(wrong_plans, wrong),
                text_of=self._text_of,
                remembered=remembered,
            )

        def all_but(names: Sequence[str]) -> Fleet:
            left = dict.fromkeys(accounts.keys() - set(names), "it is left as it was")
            return gathered(names, {**wrong_accounts, **left})

        fleet, broken = without_broken(all_but, tuple(accounts), lambda names: gathered(names, {}))
        fleet = fleet._replace(complaints=(*reading.complaints, *fleet.complaints), removal_blocked=missing)
        fleet = fleet.with_broken({**broken, **{_named(file): it for file, it in reading.broken.items()}})
        return self._remember(fleet, reading, kept, remembered) if remember else fleet

    def _host(self, reading: SpecReader) -> Host:
        try:
            with self.opened("") as files:
                found = os.stat(CONFIG, dir_fd=files.descriptor, follow_symlinks=False)
                host: Host | None = reading.take(files, CONFIG, found, HOST)
        except FileNotFoundError:
            from paas_isolate.spec.parse import DEFAULT  # whoever has a config.yaml does not pay for it

            return DEFAULT
        except OSError as error:
            host = None
            reading.complaints.append(Complaint(CONFIG, _cannot(error)))
        host = host or self.last_good.host()
        if host is None:
            raise SpecError(tuple(reading.complaints))
        return host

    def _plans(self, reading: SpecReader) -> tuple[dict[str, Any], dict[str, str]]:
        try:
            return self._all(reading, PLANS, PLAN)
        except FileNotFoundError:
            return {}, {}
        except OSError as error:  # accounts that name a plan stay as they are, for there is none of that name
            reading.complaints.append(Complaint(PLANS, _cannot(error)))
            return {}, {}

    def _accounts(self, reading: SpecReader) -> tuple[dict[str, Any], dict[str, str], str]:
        """Without the directory nobody is gone: every account that was, is kept."""
        try:
            return *self._all(reading, ACCOUNTS, ACCOUNT), ""
        except OSError as error:
            missing = f"{ACCOUNTS} {_cannot(error)}"
            reading.complaints.append(Complaint(ACCOUNTS, _cannot(error)))
            return {}, dict.fromkeys(sorted(self.last_good.names()), missing), missing

    def _all(self, reading: SpecReader, directory: str, kind: DocumentKind) -> tuple[dict[str, Any], dict[str, str]]:
        """What a directory's files say, by name; and those that cannot be used, with the reason."""
        things, wrong = {}, {}
        with self.opened(directory) as files:
            self._check_directory(reading, files)
            for name, thing in reading.drafts(files.shown, kind):
                things[name.removesuffix(END)] = thing
            for name, found in _listing(files, reading):
                stem = name.removesuffix(END)
                if stem in things:
                    continue
                try:
                    thing = reading.take(files, name, found, kind)
                except FileNotFoundError:  # gone since it was listed: as if it had never been
                    continue
                if thing is not None:
                    things[stem] = thing
                elif is_name(stem):
                    wrong[stem] = f"{files.shown}{name} cannot be used"
        return things, wrong

    def _check_directory(self, reading: SpecReader, files: SafeDirectory) -> None:
        found = os.fstat(files.descriptor)
        if found.st_uid not in (0, self.owner) or found.st_mode & 0o022:
            mend = f"chown root {files.path} && chmod go-w {files.path}"
            text = f"may be changed by others, who can take accounts away; run: {mend}"
            reading.complaints.append(Complaint(files.shown, text, warning=True))

    @contextmanager
    def opened(self, directory: str) -> Iterator[SafeDirectory]:
        """The files of one of the directories, or of all of them's own ('')."""
        path = os.path.join(self.etc, directory) if directory else self.etc
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield SafeDirectory(descriptor, f"{directory}/" if directory else "", path, self.owner)
        finally:
            os.close(descriptor)

    def located(self, fleet: Fleet) -> Fleet:
        """With the lines of warnings, for somebody who reads them: a run of every minute does not pay for that."""
        from paas_isolate.spec.read import locate, read_again

        files = {
            complaint.file
            for complaint in fleet.complaints
            if complaint.warning and not complaint.line and complaint.key
        }
        found = {file: read_again(self._text_of(file)) for file in files}

        def placed(it: Complaint) -> Complaint:
            node = found.get(it.file) if it.warning and not it.line and it.key else None
            line, column = locate(node, it.key)
            if not line:  # what a file leaves out it says by its name
                line, column = locate(node, "account")
            return it._replace(line=line, column=column) if line else it

        return fleet._replace(complaints=tuple(map(placed, fleet.complaints)))

    def _text_of(self, file: str) -> bytes:
        """A file's bytes again, for the line of a mistake; nothing where that cannot be had any more."""
        directory, _, name = file.rpartition("/")
        with suppress(OSError, UnfitError), self.opened(directory) as files:
            return files.read(name)[0]
        return b""

    def _remember(self, fleet: Fleet, reading: SpecReader, kept: SpecCache | None, remembered: frozenset[str]) -> Fleet:
        """Keep what is good now for the day when it is not. A full disk must not stop the run."""
        copies = kept.copies if kept else {}
        stale = _stale(fleet, reading, copies if kept else None, remembered)
        try:
            if kept is None or CONFIG in reading.news:
                self._remember_host(fleet, reading)
            fleet = self._remember_all(fleet, stale)
            now = {name: copies[name] for name in fleet.accounts if name in copies}
            now |= {account.name: (dict(account.uids), account.home) for account in stale}
            if reading.changed or kept is None or now != copies:
                cache.save(self.state, SpecCache(reading.files, now), kept)
        except OSError as error:
            told = Complaint(self.state, f"{_cannot(error, 'written')}; the last good copies are old", warning=True)
            return fleet._replace(complaints=(*fleet.complaints, told))
        except Exception as error:  # noqa: BLE001  (what cannot be kept is parsed anew the next time)
            return fleet.with_broken({"what is kept of the files": trouble(error)})
        return fleet

    def _remember_all(self, fleet: Fleet, stale: list[Account]) -> Fleet:
        broken = {}
        for account in stale:
            try:
                self.last_good.remember(account)
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001  (its copy is old; the others get theirs)
                broken[account.name] = trouble(error)
        return fleet.with_broken(broken)

    def _remember_host(self, fleet: Fleet, reading: SpecReader) -> None:
        if CONFIG in reading.files and reading.files[CONFIG].row is not None:
            self.last_good.remember_host(fleet.host)


def _named(file: str) -> str:
    """The account whose file it is, or the file."""
    return file.removeprefix(f"{ACCOUNTS}/").removesuffix(END) if file.startswith(f"{ACCOUNTS}/") else file


def _listing(files: SafeDirectory, reading: SpecReader) -> Iterator[tuple[str, os.stat_result]]:
    """The specifications of a directory by name, so that complaints and clashes come in one order."""
    with os.scandir(files.descriptor) as entries:
        listed = sorted([(entry.name, entry) for entry in entries if not entry.name.startswith(".")])
    for name, entry in listed:
        if name.endswith(END):
            try:  # not `suppress`, which costs as much as a third of the stat(2) itself
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield name, found
        elif name.endswith(".yml"):
            text = f"is not read; name it {shown_file(name.removesuffix('.yml') + END)}"
            reading.complaints.append(Complaint(files.told(name), text, warning=True))


def _stale(
    fleet: Fleet,
    reading: SpecReader,
    copies: dict[str, tuple[dict[str, int], str]] | None,
    there: frozenset[str],
) -> list[Account]:
    """The accounts whose last good copy may differ; without opening one, for there may be 10,000."""
    good = (account for account in fleet.accounts.values() if account.name not in fleet.on_last_good)
    news = reading.news
    if copies is None or CONFIG in news:
        return list(good)
    plans = {file.removeprefix(f"{PLANS}/").removesuffix(END) for file in news if file.startswith(PLANS)}
    named = {_named(file) for file in news if file.startswith(ACCOUNTS)}
    return [
        account
        for account in good
        if account.plan in plans
        or account.name in named
        or copies.get(account.name) != (account.uids, account.home)
        or account.name not in there
    ]


def _cannot(error: OSError, done: str = "read") -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"cannot be {done}: {os.strerror(error.errno or 0)}"
