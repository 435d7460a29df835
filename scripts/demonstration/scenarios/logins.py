"""Customers log in: they are in their account before any program of theirs runs."""

from collections.abc import Iterator

from demonstration.facts import Fact
from demonstration.target import Target

LANDED = """
tell customer "$(su - "$bob" -c 'cat /proc/self/cgroup')"
tell root "$(su - root -c 'cat /proc/self/cgroup')"
"""

SUSPENDED = """
"${PAAS[@]}" freeze "$bob" >/dev/null
tell words "$(su - "$bob" -c id 2>&1 | head -n 1)"
"${PAAS[@]}" thaw "$bob" >/dev/null
"""

BROKEN = """
module=$(echo /usr/lib/*/security/pam_paas_isolate.so)
mv "$module" "$module.away"
tell root "$(su - root -c 'id -u')"
su - "$bob" -c true >/dev/null 2>&1
tell customer $?
mv "$module.away" "$module"
"""


def login(target: Target) -> Iterator[Fact | str]:
    bob = target.called("bob")
    answer = target.product("pam", "install")
    tried = answer.out.count("ok ")
    yield answer.fact(
        "switched on",
        answer.code == 0 and tried == 8,
        f"paas-isolate pam install: {tried} sessions of root and of a customer tried, before and after;"
        f" {answer.seconds:.1f} s",
        "8 sessions, exit status 0",
    )
    values = target.measure(LANDED)
    where = values.text("customer")
    yield values.fact(
        "inside",
        where.endswith(f"/users/{bob}/login"),
        f"{bob} logs in, and the first command says where it is: {where.rpartition('/users/')[2] or where}",
        f"users/{bob}/login",
    )
    yield values.fact("root", "/users/" not in values.text("root"), "root logs in, and stays outside", "outside")
    values = target.measure(SUSPENDED)
    yield values.fact("frozen", "suspended" in values.text("words"), f"frozen: {values.text('words')}", "a refusal")
    values = target.measure(BROKEN)
    yield values.fact(
        "nobody is locked out",
        values.text("root") == "0" and values.number("customer") != 0,
        "the module is taken away: root still gets in, and a customer is refused, for nobody could be confined",
        "root in, the customer refused",
    )
