"""Other people's programs as services of a customer's: how each is started, and how it is asked."""

import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.guest.machine import cgroup_of, is_alive, pids_in
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer

LAUNCHER = "paas-run"


@dataclass(frozen=True)
class Foreign:
    """`files` are laid into the directory of that name in the customer's home. `broken` is a line that ends at once.
    `eat` is what makes it take more memory than it may have; None where it has no way to."""

    name: str
    run: str
    broken: str
    files: dict[str, str]
    port: int = 0
    answer: str = ""
    ask: str = "/"
    eat: str | None = None

    def body(self) -> dict[str, object]:
        listen = {"listen": self.port} if self.port else {}
        return {"run": self.run, "directory": f"~/{self.name}", "limits": {"memory": "160M"}, **listen}

    def lay(self, owner: Customer) -> None:
        place = owner.home / self.name
        place.mkdir()
        for name, text in self.files.items():
            (place / name).write_text(text)
        subprocess.run(["chown", "-R", f"{owner.uid}:{owner.gid}", place], check=True)


WSGI = """
held = []
def app(environ, start):
    if environ["PATH_INFO"] == "/eat":
        held.append(bytearray(b"x") * (400 << 20))
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"gunicorn is here"]
"""
SERVER_JS = """
const held = [];
require("http").createServer((request, response) => {
    if (request.url === "/eat") held.push(Buffer.alloc(400 << 20, 1));
    response.end("node is here");
}).listen(process.env.PORT, process.env.ADDRESS);
"""
POOL = """
[global]
error_log = /proc/self/fd/2
[www]
listen = ${ADDRESS}:${PORT}
pm = static
pm.max_children = 1
php_admin_value[memory_limit] = -1
"""
PAGE = """<?php if (isset($_GET["eat"])) { $held = str_repeat("x", 400 << 20); } echo "php-fpm is here";"""
NGINX = """
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen ADDRESS:PORT;
        root .;
        location ~ \\.php$ { include /etc/nginx/fastcgi_params; fastcgi_pass ADDRESS:8103;
                            fastcgi_param SCRIPT_FILENAME HOME/php/page.php; }
    }
}
"""
# A module of WASI: says that it is there, then rests for a second, for ever (poll_oneoff, one clock of 48 bytes).
WASM = r"""
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "wasm is here\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 13))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (i64.const 1000000000))
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 8)))
      (br $again))))
"""
NGINX_RUN = (
    'sed "s/ADDRESS/$ADDRESS/; s/PORT/$PORT/; s#HOME#$HOME#" nginx.in >nginx.conf; '
    'exec /usr/sbin/nginx -p . -c nginx.conf -g "daemon off;"'
)


def php() -> str:
    """Debian's name has the version in it. Where these tests are only counted, there is none."""
    return str(next(Path("/usr/sbin").glob("php-fpm*"), "php-fpm"))


def programs() -> dict[str, Foreign]:
    fpm = f"exec {php()} --nodaemonize --fpm-config"
    found = (
        Foreign(
            "gunicorn",
            "exec gunicorn --bind $ADDRESS:$PORT app:app",
            "exec gunicorn --bind $ADDRESS:$PORT nothing:app",
            {"app.py": WSGI},
            port=8101,
            answer="gunicorn is here",
            eat="/eat",
        ),
        Foreign(
            "node",
            "exec node server.js",
            "exec node nothing.js",
            {"server.js": SERVER_JS},
            port=8102,
            answer="node is here",
            eat="/eat",
        ),
        Foreign("php", f"{fpm} pool.conf", f"{fpm} nothing.conf", {"pool.conf": POOL, "page.php": PAGE}, port=8103),
        Foreign(
            "redis",
            "exec redis-server --bind $ADDRESS --port $PORT --protected-mode no --save '' --dir .",
            "exec redis-server nothing.conf",
            {},
            port=8104,
            answer="+PONG",
            ask="PING\r\n",
            eat="SETRANGE held 400000000 x\r\n",
        ),
        Foreign(
            "nginx",
            NGINX_RUN,
            "exec /usr/sbin/nginx -p . -c nothing.conf",
            {"nginx.in": NGINX, "index.html": "nginx is here"},
            port=8105,
            answer="nginx is here",
        ),
        Foreign("wasm", "exec wasmtime app.wat", "exec wasmtime nothing.wat", {"app.wat": WASM}),
    )
    return {entry.name: entry for entry in found}


def said_by(address: str, port: int, text: str, seconds: float = 10) -> str:
    """What a server answers to one request; '' where it does not."""
    try:
        with socket.create_connection((address, port), seconds) as peer:
            peer.sendall(text.encode())
            return peer.recv(65536).decode(errors="replace") if text.endswith("NG\r\n") else _all_from(peer)
    except OSError:
        return ""


def _all_from(peer: socket.socket) -> str:
    text = b""
    while more := peer.recv(65536):
        text += more
    return text.decode(errors="replace")


def http(path: str) -> str:
    return f"GET {path} HTTP/1.0\r\nHost: alice\r\n\r\n"


class ForeignServices:
    """An account of which every service is one of them."""

    def __init__(self, owner: Customer, paas: Paas, foreign: dict[str, Foreign]) -> None:
        self.owner, self.paas, self.foreign = owner, paas, foreign
        number = 1 + owner.uid - 1000
        self.address = f"10.77.{number >> 8}.{number & 255}"

    def leaf(self, name: str) -> str:
        return f"users/{self.owner.name}/{name}"

    def log(self, name: str) -> str:
        path = self.owner.home / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def state(self) -> dict[str, dict[str, str | int]]:
        told = self.paas("status", "--json", self.owner.name, code=None).json["cgroups"]
        return {entry["name"]: entry["service"] for entry in told if entry["service"]}

    def mains(self) -> dict[str, int]:
        """The pid of each program, as status tells it; without those that do not run."""
        return {name: int(state["pid"]) for name, state in self.state().items() if state["pid"]}

    def keeper(self, name: str) -> int:
        (found,) = (pid for pid in pids_in(self.leaf(name)) if comm(pid) == LAUNCHER)
        return found

    def answers(self, name: str, since: dict[str, int] | None = None) -> bool:
        """It does what it is for. `since`: its log goes on behind so many characters."""
        program = self.foreign[name]
        if name == "wasm":
            return "wasm is here" in self.log(name)[(since or {}).get(name, 0) :]
        if name == "php":
            return "php-fpm is here" in said_by(self.address, self.foreign["nginx"].port, http("/page.php"))
        return program.answer in said_by(
            self.address, program.port, program.ask if name == "redis" else http(program.ask)
        )

    def silent(self, since: dict[str, int] | None = None) -> list[str]:
        return [name for name in self.foreign if not self.answers(name, since)]

    def written(self) -> dict[str, int]:
        return {name: len(self.log(name)) for name in self.foreign}

    def eat(self, name: str) -> None:
        """Have it take what it may not have: by itself where it can, else something beside it in its leaf."""
        program = self.foreign[name]
        if program.eat is not None:
            said_by(self.address, program.port, program.eat if name == "redis" else http(program.eat), 20)
        elif name == "php":
            said_by(self.address, self.foreign["nginx"].port, http("/page.php?eat=1"), 20)
        else:
            self.owner.python("held = bytearray(b'x') * (400 << 20)", leaf=self.leaf(name))


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def lives(pid: int, leaf: str) -> bool:
    return is_alive(pid) and cgroup_of(pid) == leaf


def in_journal(account: str, service: str) -> list[dict[str, str]]:
    words = ("journalctl", "--output=json", "--quiet", f"PAAS_ACCOUNT={account}", f"PAAS_SERVICE={service}")
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in told.splitlines()]
