"""Other people's programs of two customers, unchanged, on the same port at the same time: `localhost` reaches the
customer's own. Services of the machine still answer both."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest.machine import pids_of, run, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Specs
from tests.support.waiting import wait_for

GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode().strip())"
NGINX = """
daemon off; error_log stderr; pid {home}/nginx.pid;
events {{ }}
http {{
    access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    server {{ listen {port}; root {home}/public; }}
}}
"""
NODE = "require('http').createServer((_, answer) => answer.end('node of alice')).listen(Number(process.argv[1]){host})"


@pytest.fixture
def two(spec: Specs, sell: Callable[..., Customer], paas: Paas) -> Iterator[tuple[Customer, Customer]]:
    spec.config(network={})
    alice, bob = sell("alice"), sell("bob")
    for customer in (alice, bob):
        public = customer.home / "public"
        public.mkdir(exist_ok=True)
        (public / "index.html").write_text(f"page of {customer.name}\n")
        run("chown", "--recursive", f"{customer.uid}:{customer.gid}", str(customer.home))
    paas("reconcile")
    yield alice, bob
    for customer in (alice, bob):
        for pid in pids_of(customer.uid):
            os.kill(pid, 9)


def asks(customer: Customer, *words: str, **environment: str) -> str:
    """What a program of the customer's says; '' where it fails."""
    drop = ("setpriv", "--reuid", str(customer.uid), "--regid", str(customer.gid), "--clear-groups", "--")
    settings = {**os.environ, "HOME": str(customer.home), **environment}
    done = subprocess.run([*drop, *words], capture_output=True, text=True, timeout=60, env=settings, cwd=customer.home)
    return done.stdout.strip()


def page(customer: Customer, port: int, host: str = "localhost") -> str:
    return asks(customer, "python3", "-c", GET, f"http://{host}:{port}/")


def answers(customer: Customer, port: int, text: str, host: str = "localhost") -> Any:
    return wait_for(lambda: page(customer, port, host) == text, what=f"{customer.name} reads {text!r} at {host}:{port}")


def nginx(customer: Customer, port: int) -> None:
    conf = customer.home / "nginx.conf"
    conf.write_text(NGINX.format(home=customer.home, port=port))
    customer.runs("/usr/sbin/nginx", "-e", "stderr", "-p", str(customer.home), "-c", str(conf))


def own_address(customer: Customer) -> str:
    number = 1 + customer.uid - 1000
    return f"10.77.{number >> 8}.{number & 255}"


def test_nginx_and_python_on_one_port(two: tuple[Customer, Customer]) -> None:
    alice, bob = two
    nginx(alice, 8080)
    bob.runs("python3", "-m", "http.server", "8080", "--directory", "public")
    answers(alice, 8080, "page of alice")
    answers(bob, 8080, "page of bob")
    for host in ("127.0.0.1", own_address(alice)):
        assert page(alice, 8080, host) == "page of alice"
    assert page(bob, 8080, own_address(alice)) == ""


@pytest.mark.parametrize("host", ["", ", 'localhost'", ", '0.0.0.0'"], ids=["any", "localhost", "ipv4"])
def test_node_and_redis_on_one_port(two: tuple[Customer, Customer], host: str) -> None:
    """Node listens on `::` for both families where it is told no host."""
    alice, bob = two
    alice.runs("node", "--eval", NODE.format(host=host), "6379")
    bob.runs("redis-server", "--port", "6379", "--save", "", "--daemonize", "no")
    answers(alice, 6379, "node of alice")
    redis = ("redis-cli", "-h", "localhost", "-p", "6379", "ping")
    wait_for(lambda: asks(bob, *redis) == "PONG", what="redis answers bob")
    assert page(bob, 6379) != "node of alice"
    assert asks(alice, *redis) != "PONG"


def test_php_twice_on_one_port(two: tuple[Customer, Customer]) -> None:
    for customer in two:
        customer.runs("php", "-S", "localhost:8000", "-t", "public")
    for customer in two:
        answers(customer, 8000, f"page of {customer.name}")


def test_port_80_is_every_customers_and_a_front_end_reaches_both(two: tuple[Customer, Customer]) -> None:
    for customer in two:
        nginx(customer, 80)
    for customer in two:
        answers(customer, 80, f"page of {customer.name}")
        front = f"setpriv --reuid=www-data --regid=www-data --clear-groups python3 -c {shlex.quote(GET)}"
        url = f"http://{own_address(customer)}/"
        told = subprocess.run(f"{front} {url}", shell=True, capture_output=True, text=True).stdout
        assert told.strip() == f"page of {customer.name}"


@pytest.fixture
def database() -> Iterator[tuple[str, ...]]:
    """The machine's PostgreSQL; the words that ask it."""
    version = next(Path("/etc/postgresql").iterdir()).name
    systemctl("start", f"postgresql@{version}-main")
    as_its_own = ("runuser", "-u", "postgres", "--", "psql", "--quiet", "--command")
    run(*as_its_own, "create role shop login password 'secret'")
    yield ("psql", "-h", "localhost", "-U", "shop", "-d", "postgres", "-Atc", "select 6 * 7")
    run(*as_its_own, "drop role shop")
    systemctl("stop", f"postgresql@{version}-main")


def test_the_machines_database_answers_both(two: tuple[Customer, Customer], database: tuple[str, ...]) -> None:
    alice, bob = two
    for customer in two:
        assert asks(customer, *database, PGPASSWORD="secret") == "42"
    nginx(alice, 5432)
    answers(alice, 5432, "page of alice")
    assert asks(alice, *database, PGPASSWORD="secret") == ""
    assert asks(bob, *database, PGPASSWORD="secret") == "42"
