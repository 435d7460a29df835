"""Every way that somebody tried to come in by as a customer, as data.

A way is a script that root runs with bash. It finds in its environment: U, a user of the account A, and G, a group of
theirs; OTHER, a customer of another account; PASSWORD, that of them all; D, a directory with `look` (says where it is,
now and a second later) and what else GuestScene lays out. `customer` and `second` are hosts of ssh: sshd as Debian
has it, and one with internal-sftp and keyboard-interactive. Everybody's login shell says where it is, too.
"""

from dataclasses import dataclass
from enum import StrEnum


class Through(StrEnum):
    """What brings a way into the tree, or does not."""

    PAM = "PAM"
    LAUNCHER = "paas-enter"
    INSIDE = "is inside"
    """Begun by somebody who is inside already."""
    REFUSED = "refused"
    SWEEP = "the sweep"
    """Passes no session of PAM that has our line: outside until the next reconcile."""


@dataclass(frozen=True)
class Way:
    """`places` are the leaves in which programs find themselves in their first instruction, as often as so many
    programs say so; none where the customer's shell is not asked for, and root alone sees who is there."""

    name: str
    through: Through
    script: str
    places: tuple[str, ...] = ("login",)
    second: bool = False
    """As the account's second user."""
    long: bool = False


PAM, LAUNCHER, INSIDE, REFUSED, SWEEP = Through

SSH = (
    Way("ssh: a command", PAM, "ssh customer true"),
    Way("ssh: a command, second user", PAM, "ssh customer true", second=True),
    Way("ssh: a shell on a terminal", PAM, "echo exit | ssh -tt customer"),
    Way("ssh: a shell on a terminal, second user", PAM, "echo exit | ssh -tt customer", second=True, long=True),
    Way(
        "ssh: 200 logins, four at a time",
        PAM,
        'seq 200 | xargs -P 4 -I{} ssh -n -F "$F" customer true',
        places=("login",) * 200,
        long=True,
    ),
    Way("ssh -N", PAM, "ssh -fN customer", places=()),
    Way("ssh -L", PAM, "ssh -fN -L 7001:127.0.0.1:22 customer; greeted 7001", places=(), long=True),
    Way("ssh -R", PAM, "ssh -fN -R 7002:127.0.0.1:22 customer; greeted 7002", places=(), long=True),
    Way("ssh -D", PAM, "ssh -fN -D 7003 customer; greeted_through_socks 7003", places=()),
    Way(
        "ssh: ControlMaster, second session",
        PAM,
        'ssh -fNM -S "$D/master" customer; ssh -S "$D/master" customer true',
        long=True,
    ),
    Way("ssh: password", PAM, "ssh $BY_PASSWORD -o PreferredAuthentications=password customer true", long=True),
    Way(
        "ssh: keyboard-interactive",
        PAM,
        "ssh $BY_PASSWORD -o PreferredAuthentications=keyboard-interactive second true",
    ),
    Way("sftp, external", PAM, 'echo ls | sftp -q -F "$F" -b - customer'),
    Way("sftp, internal", PAM, 'printf "ls\\n!sleep 1.2\\n" | sftp -q -F "$F" -b - second', places=()),
    Way("scp", PAM, 'scp -q -F "$F" "$D/password" customer:', long=True),
    Way("scp, old protocol", PAM, 'scp -O -q -F "$F" "$D/password" customer:', long=True),
    Way(
        "git over ssh",
        PAM,
        "ssh customer git init --quiet --bare repository.git; "
        'rm -rf "$D/clone"; GIT_SSH_COMMAND="ssh -F $F" git clone --quiet customer:repository.git "$D/clone"',
        places=("login", "login"),
        long=True,
    ),
)

PEOPLE = (
    Way("su -c", PAM, "su $U -c true"),
    Way("su -", PAM, "su - $U -c true"),
    Way("su -, second user", PAM, "su - $U -c true", second=True, long=True),
    Way(
        "su with a password, from another customer",
        PAM,
        'ssh -l $OTHER customer "echo $PASSWORD | su $U -c true"',
        long=True,
    ),
    Way("sudo -u", PAM, 'sudo -u $U "$D/look"'),
    Way("sudo -u, second user", PAM, 'sudo -u $U "$D/look"', second=True, long=True),
    Way("sudo -i", PAM, "sudo -i -u $U true", long=True),
    Way("login on a console", PAM, "console login -f $U"),
    Way(
        "getty on a console",
        PAM,
        "console agetty --noclear --autologin $U - linux",
        long=True,
    ),
    Way("newgrp", INSIDE, 'echo "echo true | newgrp $G" | ssh customer', places=("login", "login")),
    Way("sg", INSIDE, 'ssh customer "sg $G $D/look"', places=("login", "login", "login"), long=True),
)

LATER = (
    Way("a user's crontab", PAM, 'echo "* * * * * $D/look" | crontab -u $U -; minute', places=("jobs",)),
    Way(
        "a user's crontab, second user",
        PAM,
        'echo "* * * * * $D/look" | crontab -u $U -; minute',
        places=("jobs",),
        second=True,
        long=True,
    ),
    Way("crontab, @reboot", PAM, 'echo "@reboot $D/look" | crontab -u $U -; as_after_reboot', places=("jobs",)),
    Way("/etc/cron.d, as the user", PAM, 'cron_line "$U $D/look"; minute', places=("jobs",), long=True),
    Way("root's cron, su", PAM, "cron_line \"root su $U -c 'sleep 2'\"; minute", long=True),
    Way(
        "root's cron, paas-enter", LAUNCHER, 'cron_line "root $ENTER -u $U $A/web -- $D/look"; minute', places=("web",)
    ),
    Way("at", PAM, 'ssh customer "echo $D/look | at -q a now" 2>&1', places=("login", "jobs")),
    Way("batch", PAM, 'ssh customer "echo $D/look | batch" 2>&1', places=("login", "jobs"), long=True),
)

STAYING = (
    Way("nohup", INSIDE, 'ssh customer "nohup $D/look 1 >/dev/null 2>&1 &"', places=("login", "login"), long=True),
    Way(
        "setsid", INSIDE, 'ssh customer "setsid --fork $D/look 1 >/dev/null 2>&1"', places=("login", "login"), long=True
    ),
    Way("double fork", INSIDE, 'ssh customer "( ($D/look 1 &) & ) >/dev/null 2>&1"', places=("login", "login")),
    Way(
        "tmux, left and attached again",
        INSIDE,
        "ssh -tt customer tmux new-session -d; { sleep 3; echo exit; } | ssh -tt customer tmux attach",
        places=("login", "login", "login"),
    ),
    Way(
        "screen, left and attached again",
        INSIDE,
        "ssh -tt customer screen -dmS left; { sleep 3; echo exit; } | ssh -tt customer screen -r left",
        places=("login", "login", "login"),
        long=True,
    ),
    Way("systemd-run --user", REFUSED, 'ssh customer "$BUS systemd-run --user --wait $D/look"'),
    Way("a user's timer", REFUSED, 'ssh customer "$BUS systemd-run --user --on-active=1 $D/look"', long=True),
    Way("linger, asked for by the customer", REFUSED, "ssh customer loginctl enable-linger", long=True),
    Way(
        "linger, switched on by root",
        REFUSED,
        "trap 'loginctl disable-linger $U' EXIT; loginctl enable-linger $U; sleep 1; "
        "systemctl start user@$(id -u $U).service",
        places=(),
    ),
)

UNITS = (
    Way("paas-enter", LAUNCHER, '$ENTER -u $U $A/web -- "$D/look"', places=("web",)),
    Way(
        "paas-enter, second user", LAUNCHER, '$ENTER -u $U $A/web -- "$D/look"', places=("web",), second=True, long=True
    ),
    Way(
        "a unit, paas-enter in ExecStart=",
        LAUNCHER,
        'systemd-run --quiet --wait $ENTER -u $U $A/web -- "$D/look"',
        places=("web",),
    ),
    Way("a unit, User= and PAMName=login", PAM, 'systemd-run --quiet --wait -p User=$U -p PAMName=login "$D/look"'),
)

PAST = (
    Way("a unit, User=", SWEEP, 'unit -p User=$U "$D/look" 60'),
    Way("runuser -u", SWEEP, 'runuser -u $U -- "$D/look" 60 &'),
    Way("runuser -l", SWEEP, 'runuser -l $U -c "sleep 60" &', long=True),
    Way("setpriv", SWEEP, 'setpriv --reuid $U --regid $U --init-groups "$D/look" 60 &'),
    Way("chpst (runit)", SWEEP, 'chpst -u $U "$D/look" 60 &', long=True),
    Way("a pool of php-fpm, user =", SWEEP, "php_pool", places=()),
    Way("Apache's suexec", SWEEP, "apache_suexec"),
    Way("a pipe in .forward (exim4)", SWEEP, 'forward "$D/look 60"; echo hello | sendmail -oi -odf $U &'),
)

WAYS = (*SSH, *PEOPLE, *LATER, *STAYING, *UNITS, *PAST)
