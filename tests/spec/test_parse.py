"""From YAML to the model or complaints."""

from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.errors import SpecError
from paas_isolate.model.account import AccountSpec, Host, Match, NetworkConfig, Service, Tree
from paas_isolate.model.limits import UNLIMITED, Cores, Percent
from paas_isolate.model.metering import FaultSettings, MeteringConfig
from paas_isolate.model.service_program import Health, Log, ServiceProgram
from paas_isolate.spec.parse import DEFAULT, parse_account, parse_host, parse_plan
from paas_isolate.spec.serialize import account_from, host_from, plain_account, plain_host, plain_plan, plan_from


def account(text: str, name: str = "alice") -> AccountSpec:
    return parse_account(f"account: {name}\n{text}".encode(), f"accounts.d/{name}.yaml")


def complaints(text: str, name: str = "alice") -> list[str]:
    with pytest.raises(SpecError) as refused:
        parse_account(f"account: {name}\n{text}".encode(), f"accounts.d/{name}.yaml")
    return [str(complaint).removeprefix(f"accounts.d/{name}.yaml:") for complaint in refused.value.complaints]


LIMITS = {
    "{cpu: 50%}": {"cpu.max": 50_000},
    "{cpu: 1.5}": {"cpu.max": 150_000},
    "{cpu: {max: 200%, weight: 100, burst: 50%, set: '3,0-1'}}": {
        "cpu.max": 200_000,
        "cpu.weight": 100,
        "cpu.burst": 50_000,
        "cpu.set": "0-1,3",
    },
    "{cpu: {set: 0-3}}": {"cpu.set": "0-3"},
    "{memory: 4G}": {"memory.max": 4 << 30},
    '{memory: "512M"}': {"memory.max": 512 << 20},
    "{memory: {max: 1.5G, high: 80%, low: 12.5%, min: 1M, swap: 0, kill: process}}": {
        "memory.max": 3 << 29,
        "memory.high": Percent(Decimal(80)),
        "memory.low": Percent(Decimal("12.5")),
        "memory.min": 1 << 20,
        "memory.swap": 0,
        "memory.kill": "process",
    },
    "{pids: 200}": {"pids": 200},
    "{io: 5M}": {"io.read": 5 << 20, "io.write": 5 << 20},
    "{io: {read: 1M, write_ops: 100, weight: 10000, of: /srv}}": {
        "io.read": 1 << 20,
        "io.write_ops": 100,
        "io.weight": 10_000,
        "io.of": "/srv",
    },
    "{network: {out: 100Mbit, in: 1.5Gbit}}": {"network.out": 100_000_000, "network.in": 1_500_000_000},
    "{network: {out: unlimited, in: 64 kbit}}": {"network.out": UNLIMITED, "network.in": 64_000},
    "{memory: unlimited, cpu: max, pids: infinity, io: unlimited}": {
        "memory.max": UNLIMITED,
        "cpu.max": UNLIMITED,
        "pids": UNLIMITED,
        "io.read": UNLIMITED,
        "io.write": UNLIMITED,
    },
    "{x-note: [1, {a: b}], cpu: {x-why: because}}": {},
    "": {},
}


@pytest.mark.parametrize("text", LIMITS)
def test_limits(text: str) -> None:
    assert account(f"limits: {text}").limits == LIMITS[text]


def test_cores_are_remembered_as_cores() -> None:
    limits = account("limits: {cpu: {max: 2, burst: 50%}}").limits
    assert isinstance(limits["cpu.max"], Cores)
    assert not isinstance(limits["cpu.burst"], Cores)


SIZE = "expected a size such as 512M"
WRONG_LIMITS = {
    "memory: 5 12M": f"limits.memory is '5 12M'; {SIZE}",
    "memory: 010": "limits.memory is '010'; expected a number without a leading zero",
    "memory: 1_000": f"limits.memory is '1_000'; {SIZE}",
    "memory: 0x10": f"limits.memory is '0x10'; {SIZE}",
    "memory: -1": f"limits.memory is '-1'; {SIZE}",
    "memory: .nan": f"limits.memory is '.nan'; {SIZE}",
    "memory: 1e9": f"limits.memory is '1e9'; {SIZE}",
    "memory: 50%": f"limits.memory is '50%'; {SIZE} (no percentage here",
    "memory: 5": f"limits.memory is '5'; {SIZE}, at least 1M",
    "memory: ": f"limits.memory is empty; {SIZE}",
    "memory: ~": f"limits.memory is empty; {SIZE}",
    "memory: [1G]": f"limits.memory is a list; {SIZE}",
    "memory: 9999P": "limits.memory is '9999P'; expected a size below 4096P (or the word unlimited)",
    "memory: {high: 0%}": "limits.memory.high is '0%'; expected a percentage from 1% to 100%",
    "memory: {high: 101%}": "limits.memory.high is '101%'; expected a percentage from 1% to 100%",
    "memory: {low: max}": f"limits.memory.low is 'max'; {SIZE} (it cannot be unlimited)",
    "memory: {kill: all}": "limits.memory.kill is 'all'; expected leaf or process",
    "memory: {hihg: 1G}": "limits.memory.hihg is not a key of this place; did you mean high?",
    "cpu: 0%": "limits.cpu is '0%'; expected CPU time such as 150% (of one core) or 1.5 (cores), at least 1%",
    "cpu: 1:30": "limits.cpu is '1:30'; expected CPU time",
    "cpu: {weight: 0}": "limits.cpu.weight is '0'; expected a weight from 1 to 10000",
    "cpu: {weight: 10001}": "limits.cpu.weight is '10001'; expected a weight from 1 to 10000",
    "cpu: {weight: 1.5}": "limits.cpu.weight is '1.5'; expected a weight from 1 to 10000",
    "cpu: {set: 3-1}": "limits.cpu.set is '3-1'; expected cores such as 0-3,8",
    "cpu: {set: 1-}": "limits.cpu.set is '1-'; expected cores such as 0-3,8",
    "pids: 0": "limits.pids is '0'; expected a whole number such as 200, at least 1",
    "pids: 4194305": "limits.pids is '4194305'; expected a whole number such as 200, at most 4194304 (or the word",
    "io: {read_ops: 1}": "limits.io.read_ops is '1'; expected a whole number such as 200, at least 2",
    "io: {write_ops: 4294967295}": "limits.io.write_ops is '4294967295'; expected a whole number such as 200, at most",
    "pids: {max: 3}": "limits.pids is a mapping; expected a whole number such as 200",
    "io: 3%": f"limits.io is '3%'; {SIZE}",
    "io: {of: data}": "limits.io.of is 'data'; expected an absolute path or ~/PATH",
    "network: 100Mbit": "limits.network is '100Mbit'; expected a mapping such as {out: 100Mbit, in: 200Mbit}",
    "network: {out: 100M}": "limits.network.out is '100M'; expected a rate such as 100Mbit (bits; 100M could be bytes)",
    "network: {out: 100}": "limits.network.out is '100'; expected a rate such as 100Mbit (bits; 100 could be bytes)",
    "network: {out: 100mbit}": "limits.network.out is '100mbit'; expected a rate such as 100Mbit",
    "network: {out: 100MB}": "limits.network.out is '100MB'; expected a rate such as 100Mbit (bits; 100MB could be",
    "network: {in: 0bit}": "limits.network.in is '0bit'; expected a rate such as 100Mbit, at least 8kbit",
    "network: {in: 101Gbit}": "limits.network.in is '101Gbit'; expected a rate such as 100Mbit, at most 100Gbit",
    "network: {up: 1Mbit}": "limits.network.up is not a key of this place",
    "memroy: 1G": "limits.memroy is not a key of this place; did you mean memory?",
}


@pytest.mark.parametrize("text", WRONG_LIMITS)
def test_wrong_limits(text: str) -> None:
    (complaint,) = complaints(f"limits: {{{text}}}")
    assert WRONG_LIMITS[text] in complaint


WRONG = {
    "services: {web: {limits: {network: {out: 1Mbit}}}}": [
        "2:27: services.web.limits.network is of whole accounts; write it in the `limits` of account or plan"
    ],
    "users: alice": ["2:8: users is 'alice'; expected a list of users"],
    "users: []": ["2:8: users is an empty list; expected at least one user"],
    "users: [a, b]": ["1:1: owner is missing; expected one of a, b, for none is named like the account"],
    "users: [a, a]\nowner: a": ["2:8: users names a more than once; keep one"],
    "users: [a]\nowner: b": ["3:8: owner is 'b'; expected one of the account's users (a)"],
    "users: [a/b]": ["2:9: users[0] is 'a/b'; expected the name of a Unix user"],
    "suspended: yes": ["2:12: suspended is 'yes'; expected true or false"],
    "renamed_from: alice": ["2:15: renamed_from is 'alice'; expected the name that it had before"],
    "plan: Medium": ["2:7: plan is 'Medium'; expected a name such as web-1 (a-z, 0-9, _ and -, at most 32)"],
    "plna: medium": ["2:1: plna is not a key of this place; did you mean plan?"],
    "services: [web]": ["2:11: services is a list; expected a mapping of services"],
    "services: {Web: {}}": ["2:17: services.Web is no name for a service; expected a name such as web-1"],
    "services: {web: {match: {}}}": ["2:25: services.web.match is empty; expected program, command or user"],
    "services: {login: {entry: [sshd]}}": [
        "2:20: services.login.entry is not a key of this place; expected limits alone"
    ],
    "services: {web: {priority: high}}": ["services.web.priority is 'high'; expected a whole number from -1000"],
    "services: {web: {restart: often}}": ["services.web.restart is 'often'; expected always, on-failure or never"],
    "services: {web: {publish: 70000}}": ["services.web.publish is '70000'; expected a whole number from 1 to"],
    "services: {web: {stop_timeout: 10}}": ["services.web.stop_timeout is '10'; expected a duration such as 10s"],
    "limits: {memory: 5 12M}\nsuspended: 1\nplam: x": [  # all mistakes at once, in the file's order
        "2:18: limits.memory is '5 12M'",
        "3:12: suspended is '1'",
        "4:1: plam is not a key",
    ],
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_accounts(text: str) -> None:
    found = complaints(text)
    assert len(found) == len(WRONG[text])
    for complaint, expected in zip(found, WRONG[text], strict=True):
        assert expected in complaint


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("bob.yaml", "account: alice", "bob.yaml:1:10: account is 'alice'; expected bob, like the file's name"),
        ("bob.yaml", "users: [bob]", "bob.yaml:1:1: account is missing; expected account: bob"),
        ("bob.yaml", "", "bob.yaml: account is missing; expected account: bob"),
        ("Bob.yaml", "account: Bob", "Bob.yaml: 'Bob' is no name for a file here"),
        ("bob.yaml", "- account: bob", "bob.yaml:1:1: is a list; expected a mapping"),
    ],
)
def test_an_account_is_named_like_its_file(file: str, text: str, expected: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_account(text.encode(), f"accounts.d/{file}")
    assert expected in str(refused.value)


def test_what_is_found_is_shortened_and_escaped() -> None:
    (complaint,) = complaints(f"limits: {{memory: {'x' * 60}}}")
    assert "'" + "x" * 39 + "…'" in complaint


def test_the_shortest_account() -> None:
    assert account("") == AccountSpec("alice", "accounts.d/alice.yaml", ("alice",), "alice")


def test_a_full_account() -> None:
    found = account(
        """
users: [intranet, intranet-dev]
plan: medium
labels: {reseller: north, cost_centre: 4711, x-note: [ignored]}
suspended: true
renamed_from: old
x-customer: 4711
peers: [bob, carol]
services:
  web: {match: {program: apache2, user: "int*"}, priority: -5, limits: {memory: 80%}}
  nightly: {entry: [cron, atd]}
  worker:
    run: ./worker --queue mail
    directory: ~/app
    environment: {QUEUE: mail, N: 3}
    environment_file: ~/app/.env
    restart: always
    stop_timeout: 10s
    health: {run: ./ping, every: 30s, failures: 3}
    listen: 8080
    publish: 8300
    umask: "027"
    rlimits: {nofile: 4096, memlock: 64M, core: unlimited}
    log: {max: 1M}
  other: {limits: {pids: 5}}
""",
        "intranet",
    )
    worker = ServiceProgram(
        run="./worker --queue mail",
        directory="~/app",
        environment={"QUEUE": "mail", "N": "3"},
        environment_file="~/app/.env",
        restart="always",
        stop_timeout=10_000,
        health=Health("./ping", 30_000, 3),
        umask="027",
        rlimits={"nofile": 4096, "memlock": 64 << 20, "core": -1},
        log=Log(max=1 << 20),
    )
    assert found == AccountSpec(
        name="intranet",
        file="accounts.d/intranet.yaml",
        users=("intranet", "intranet-dev"),
        owner="intranet",
        plan="medium",
        labels={"reseller": "north", "cost_centre": "4711"},
        services=(
            Service("nightly", entry=("cron", "atd")),
            Service("other", {"pids": 5}),
            Service("web", {"memory.max": Percent(Decimal(80))}, Match(program="apache2", user="int*"), priority=-5),
            Service("worker", listen=8080, publish=8300, work=worker),
        ),
        suspended=True,
        renamed_from="old",
        peers=("bob", "carol"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("labels: north", "labels is 'north'; expected a mapping such as {reseller: north}"),
        ("labels: {Reseller: north}", "labels.Reseller is 'Reseller'; expected a key such as reseller"),
        ("labels: {reseller: [a]}", "labels.reseller is a list; expected a text of at most 64 printable characters"),
        ('labels: {reseller: "a\\nb"}', "expected a text of at most 64 printable characters, such as north"),
        (f"labels: {{reseller: {'x' * 65}}}", "expected a text of at most 64 printable characters, such as north"),
        (f"labels: {{{', '.join(f'k{n}: v' for n in range(17))}}}", "has 17 labels; expected at most 16"),
    ],
)
def test_wrong_labels(text: str, expected: str) -> None:
    assert expected in complaints(text)[0]


def test_order_means_nothing() -> None:
    one = account("plan: a\nservices: {b: {limits: {pids: 1}}, a: {priority: 1}}")
    other = account("services: {a: {priority: 1}, b: {limits: {pids: 1}}}\nplan: a")
    assert one == other


def test_a_machine_that_says_nothing_has_the_defaults() -> None:
    assert parse_host(b"", "config.yaml") == DEFAULT
    assert DEFAULT.penalty == {"cpu.max": 10_000, "memory.max": 256 << 20, "pids": 50}
    assert DEFAULT.ceiling == {
        "memory.max": Percent(Decimal(75)),
        "pids": Percent(Decimal(80)),
        "cpu.weight": 50,
    }


def test_a_host_changes_knob_by_knob() -> None:
    text = b"""
tree: {root: /sys/fs/cgroup/paas}
users: {first_uid: 2000, exempt: [root, "@staff"], without_account: plan small, leave: [box/*]}
penalty: {pids: 10}
ceiling: {memory: 8G, pids: unlimited}
network: {pool: 10.1.0.0/16, frontends: [nginx]}
metering: {every: 30s, keep: 1G, time_zone: Europe/Berlin, prices: {core_hour: 0.01, gb_hour: 2},
  faults: {throttled: 5%, waited: 100%}, command_lines: false}
"""
    host = parse_host(text, "config.yaml")
    assert host == Host(
        tree=Tree(unit="", root="/sys/fs/cgroup/paas"),
        first_uid=2000,
        exempt=("root", "@staff"),
        without_account="plan small",
        leave=("box/*",),
        penalty={**DEFAULT.penalty, "pids": 10},
        ceiling={**DEFAULT.ceiling, "memory.max": 8 << 30, "pids": UNLIMITED},
        network=NetworkConfig("10.1.0.0/16", frontends=("nginx",)),
        metering=MeteringConfig(
            30_000,
            1 << 30,
            "Europe/Berlin",
            {"core_hour": "0.01", "gb_hour": "2"},
            faults=FaultSettings(throttled=5, waited=100),
            command_lines=False,
        ),
    )
    assert host_from(plain_host(host)) == host


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tree: {unit: a.service, root: /x}", "1:7: tree has unit and root; expected one of them"),
        ("tree: {unit: paas.slice}", "tree.unit is 'paas.slice'; expected a unit such as paas-tree.service"),
        ("tree: {root: /sys/fs/../x}", "tree.root is '/sys/fs/../x'; expected an absolute path without dots"),
        ("users: {first_uid: 5, last_uid: 3}", "users begins at 5 and ends at 3"),
        ("users: {first_uid: 0}", "users.first_uid is '0'; expected a whole number from 1"),
        ("users: {exempt: root}", "users.exempt is 'root'; expected a list of users and @groups"),
        ("users: {leave: [/machine.slice]}", "users.leave[0] is '/machine.slice'; expected a cgroup below the mount"),
        ("users: {leave: [user.slice/**]}", "is 'user.slice/**'; expected a narrower one: user.slice is never left"),
        ("users: {leave: [system.slice/**]}", "expected a narrower one: system.slice/apache2.service is never left"),
        ("users: {without_account: small}", "is 'small'; expected leave, penalty, or plan NAME"),
        ("metering: {every: 100ms}", "metering.every is '100ms'; expected a duration from 1s to 1m, such as 10s"),
        ("metering: {every: 2m}", "metering.every is '2m'; expected a duration from 1s to 1m, such as 10s"),
        ("metering: {keep: 1M}", "metering.keep is '1M'; expected a size of at least 64M, such as 4G"),
        ("metering: {time_zone: Berlin}", "time_zone is 'Berlin'; expected a time zone such as Europe/Berlin"),
        ("metering: {time_zone: Europe}", "time_zone is 'Europe'; expected a time zone such as Europe/Berlin"),
        ("metering: {time_zone: /etc/passwd}", "expected a time zone such as Europe/Berlin"),
        ("metering: {prices: {core_hour: -1}}", "prices.core_hour is '-1'; expected a price such as 0.01"),
        ("metering: {prices: {core_hour: 1e3}}", "prices.core_hour is '1e3'; expected a price such as 0.01"),
        ("metering: {faults: {used: 0%}}", "faults.used is '0%'; expected a percentage from 1% to 100%, such as 10%"),
        ("metering: {faults: {used: 80}}", "faults.used is '80'; expected a percentage from 1% to 100%, such as 10%"),
        ("prices: {core_hour: 1}", "prices is not a key of this place; it belongs below metering"),
        ("notices: []", "notices is not a key of this place; it belongs below metering"),
        ("metering: {prices: {cpu: 1}}", "metering.prices.cpu is not a key of this place"),
        ("ceiling: {memory: 120%}", "ceiling.memory is '120%'; expected a percentage from 1% to 100%"),
        ("ceiling: {cpu: 50%}", "ceiling.cpu is not a key of this place; did you mean cpu_weight?"),
        ("network: {pool: here}", "network.pool is 'here'; expected a network such as 10.77.0.0/16"),
        ("network: {pool: 10.1.2.3/16}", "network.pool is '10.1.2.3/16'; expected a network such as 10.77.0.0/16"),
        ("network: {pool6: 'fd77:7061::/32'}", "expected a network without fd77:7061:6174::1, from which clients come"),
        ("network: {pool6: 10.0.0.0/8}", "network.pool6 is '10.0.0.0/8'; expected a network such as fd77"),
    ],
)
def test_wrong_hosts(text: str, expected: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_host(text.encode(), "config.yaml")
    assert expected in str(refused.value)


def test_a_plan_survives_being_kept() -> None:
    text = b"plan: p\nlimits: {cpu: 2, memory: {max: unlimited, high: 50%}}\nservices: {a: {match: {user: x}}}\n"
    plan = parse_plan(text, "plans.d/p.yaml")
    assert plan_from(plain_plan(plan)) == plan
    assert isinstance(plan_from(plain_plan(plan)).limits["cpu.max"], Cores)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True).filter(lambda name: not name.startswith("x-"))
LIMIT_WORDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.integers(1, 400).map(lambda n: f"{n}%"),
        "memory": st.one_of(st.just("unlimited"), st.integers(1, 99).map(lambda n: f"{n}G")),
        "pids": st.integers(1, 10_000),
        "io": st.integers(1, 99).map(lambda n: f"{n}M"),
    },
)


@given(
    name=NAMES,
    users=st.lists(NAMES, min_size=1, max_size=3, unique=True),
    limits=LIMIT_WORDS,
    services=st.dictionaries(NAMES, st.fixed_dictionaries({"limits": LIMIT_WORDS}), max_size=3),
    flow=st.booleans(),
)
def test_an_account_is_what_a_panel_wrote(
    name: str, users: list[str], limits: dict[str, Any], services: dict[str, Any], flow: bool
) -> None:
    rendered = yaml.safe_dump(
        {"account": name, "users": users, "owner": users[0], "limits": limits, "services": services},
        default_flow_style=flow,
    )
    found = parse_account(rendered.encode(), f"accounts.d/{name}.yaml")
    assert (found.name, found.users, found.owner) == (name, tuple(users), users[0])
    assert {service.name for service in found.services} == set(services)
    assert found.limits.get("pids") == limits.get("pids")
    assert account_from(plain_account(found)) == found
