"""A hosting machine whose network is a namespace."""

import subprocess

from tests.support.kernel.host import TestHost


class NetworkHost:
    """A hosting machine whose network is a namespace."""

    def __init__(self, host: TestHost, name: str) -> None:
        self.host, self.name = host, name
        waits = "mount -t bpf bpf /sys/fs/bpf && echo && exec sleep infinity"  # pins last as long as this mount does
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", waits]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.holder.stdout and self.holder.stdout.readline()

    def end(self) -> None:
        self.holder.kill()
        self.holder.communicate()

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name}", f"--mount=/proc/{self.holder.pid}/ns/mnt", *words]

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True)

    def rules(self) -> list[str]:
        """In no order: elements are listed in another each time."""
        return sorted(self.inside("nft", "--stateless", "list", "table", "inet", "paas_isolate").stdout.split())

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.inside(*self.host.command(*words))

    def local(self) -> set[str]:
        """Networks that ip(8) shows as local and ours; not IPv6 addresses, for it may be older than their protocol."""
        shown = (
            self.inside("ip", family, "route", "show", "table", "local", "proto", "119") for family in ("-4", "-6")
        )
        return {line.split()[1] for each in shown for line in each.stdout.splitlines()}
