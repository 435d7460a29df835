"""The web server examples of config/: whoever answers runs inside the customer's leaf."""

import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.support.guest.machine import cgroup_of, pids_in, pids_of, run, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Sell, Specs
from tests.support.waiting import wait_for

EXAMPLES = Path("/usr/share/doc/paas-isolate/examples")
DOORS = Path("/run/paas-isolate/doors")
UNITS = Path("/etc/systemd/system")
PHP_13 = "8.4"
"""In the examples: of Debian 13."""
FILES = {
    "php-fpm": {
        "php-fpm@.service": UNITS / "php-fpm@.service",
        "alice.conf": Path(f"/etc/php/{PHP_13}/fpm/customers/alice.conf"),
        "nginx.conf": Path("/etc/nginx/sites-enabled/alice-php"),
    },
    "uwsgi": {
        "uwsgi@.service": UNITS / "uwsgi@.service",
        "alice.ini": Path("/etc/uwsgi/customers/alice.ini"),
        "nginx.conf": Path("/etc/nginx/sites-enabled/alice-python"),
    },
    "apache": {
        "apache@.service": UNITS / "apache@.service",
        "alice.conf": Path("/etc/apache2/customers/alice.conf"),
        "front.conf": Path("/etc/apache2/sites-enabled/alice.conf"),
    },
}
"""Example -> its files, and where they are for."""

TELL = "import os; print(os.geteuid(), open('/proc/self/cgroup').read().strip(), sep=chr(10))"
PHP = "<?php echo posix_geteuid(), chr(10), file_get_contents('/proc/self/cgroup');"
CGI = f"#!/usr/bin/python3\nprint('Content-Type: text/plain\\n'); {TELL}\n"
WSGI = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.geteuid()}\\n{open('/proc/self/cgroup').read()}".encode()]
"""

Serve = Callable[..., None]


def look_out(uid: int, told: Connection) -> None:
    """Looks ten times a second where all processes of a customer are, until told to end; tells what was outside."""
    looks, outside = 0, set[str]()
    while not told.poll(0.1):
        outside.update(place for pid in pids_of(uid) if (place := cgroup_of(pid)).startswith("/"))
        looks += 1
    told.send((looks, outside))


@pytest.fixture
def alice(sell: Sell, spec: Specs) -> Iterator[Customer]:
    """A customer with a service for each, and what it wants to be served. No reconcile yet, and no doors."""
    spec.config()
    limits = {"limits": {"memory": "300M"}}
    customer = sell("alice", services=dict.fromkeys(("php", "python", "apache"), limits))
    for file, text in {"www/who.php": PHP, "app/app.py": WSGI, "cgi-bin/who": CGI}.items():
        path = customer.home / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        run("chown", "-R", "alice:", str(path.parent))
    ours, theirs = Pipe()
    looking = get_context("fork").Process(target=look_out, args=(customer.uid, theirs))
    looking.start()
    yield customer
    ours.send("end")
    looks, outside = ours.recv()
    looking.join()
    assert (looks > 1, outside) == (True, set())
    shutil.rmtree(DOORS, ignore_errors=True)


@pytest.fixture
def php() -> str:
    """The version that this Debian has."""
    (program,) = Path("/usr/sbin").glob("php-fpm[0-9]*")
    return program.name.removeprefix("php-fpm")


@pytest.fixture
def serve(alice: Customer, php: str) -> Iterator[Serve]:
    """`serve("uwsgi", "uwsgi@alice", "nginx")` puts an example into its places and starts its units."""
    started: list[str] = []
    placed: list[Path] = []

    def start(example: str, *units: str) -> None:
        for name, place in FILES[example].items():
            text = (EXAMPLES / example / name).read_text()
            place = Path(str(place).replace(PHP_13, php))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text.replace(PHP_13, php))
            placed.append(place)
        systemctl("daemon-reload")
        started.extend(units)
        run("systemctl", "start", *units)

    yield start
    for unit in reversed(started):
        systemctl("stop", unit)
    for path in placed:
        path.unlink()
    systemctl("daemon-reload")


def asked(host: str, path: str, port: int = 80) -> list[str]:
    """The answer of a site: the uid and the leaf of who answered."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})

    def answer() -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return bytes(response.read())
        except OSError:
            return b""

    uid, cgroup = wait_for(answer, what=f"{host}{path} is answered").decode().splitlines()
    return [uid, cgroup.removeprefix("0::/paas.slice/paas-tree.service/")]


def main_pid(unit: str) -> int:
    return int(systemctl("show", "--property=MainPID", "--value", unit))


def all_inside(uid: int, leaf: str) -> set[str]:
    """The programs of a customer, all of which are in this leaf."""
    places = {pid: cgroup_of(pid) for pid in pids_of(uid)}
    assert set(places.values()) - {""} == {leaf}, places
    return {Path(os.readlink(f"/proc/{pid}/exe")).name for pid, place in places.items() if place}


def test_php_fpm_of_a_customer(alice: Customer, serve: Serve, paas: Paas, php: str) -> None:
    paas.installed("exec", "alice/php", "--", "true")
    serve("php-fpm", "php-fpm@alice", "nginx")

    assert asked("alice.example", "/who.php") == [str(alice.uid), "users/alice/php"]
    assert all_inside(alice.uid, "users/alice/php") == {f"php-fpm{php}"}
    assert systemctl("show", "--property=StatusText", "--value", "php-fpm@alice")  # Type=notify: it has told systemd
    first = main_pid("php-fpm@alice")
    assert first in pids_in("users/alice/php")

    run("systemctl", "reload", "php-fpm@alice")
    assert asked("alice.example", "/who.php") == [str(alice.uid), "users/alice/php"]
    assert main_pid("php-fpm@alice") == first
    paas("reconcile")  # finds nobody in the wrong place
    assert all_inside(alice.uid, "users/alice/php") == {f"php-fpm{php}"}

    run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "php-fpm@alice")
    wait_for(lambda: main_pid("php-fpm@alice") not in (0, first), what="php-fpm is started again", deadline=60)
    assert asked("alice.example", "/who.php") == [str(alice.uid), "users/alice/php"]
    run("systemctl", "stop", "php-fpm@alice")
    assert pids_of(alice.uid) == []


def test_uwsgi_of_a_customer(alice: Customer, serve: Serve, paas: Paas) -> None:
    paas.installed("exec", "alice/python", "--", "true")
    serve("uwsgi", "uwsgi@alice", "nginx")

    assert asked("app.alice.example", "/") == [str(alice.uid), "users/alice/python"]
    assert all_inside(alice.uid, "users/alice/python") == {"uwsgi-core"}
    assert len(pids_in("users/alice/python")) == 3  # the master, and the processes of its file
    run("systemctl", "stop", "uwsgi@alice")
    assert pids_of(alice.uid) == []


def test_apache_of_a_customer(alice: Customer, serve: Serve, paas: Paas) -> None:
    paas.installed("exec", "alice/apache", "--", "true")
    run("a2enmod", "--quiet", "proxy_http")
    serve("apache", "apache@alice", "apache2")

    assert asked("www.alice.example", "/cgi-bin/who") == [str(alice.uid), "users/alice/apache"]
    assert asked("alice.example", "/cgi-bin/who", 8101) == [str(alice.uid), "users/alice/apache"]
    assert all_inside(alice.uid, "users/alice/apache") == {"apache2"}
    run("systemctl", "stop", "apache@alice")
    assert pids_of(alice.uid) == []


def test_without_a_door_the_unit_does_not_start_and_nothing_runs(alice: Customer, serve: Serve, paas: Paas) -> None:
    paas("reconcile")
    with pytest.raises(AssertionError):
        serve("php-fpm", "php-fpm@alice")
    assert systemctl("show", "--property=ExecMainStatus", "--value", "php-fpm@alice") == "125"
    assert pids_of(alice.uid) == []


def test_the_commands_exit_status_and_output_come_back(alice: Customer, paas: Paas) -> None:
    answer = paas.installed("exec", "alice/php", "--no-new-privs", "--", "sh", "-c", "id -un; exit 7")
    assert (answer.code, answer.out) == (7, "alice\n")
    assert json.loads(Path("/var/lib/paas-isolate/decisions.json").read_text())["launcher"]
