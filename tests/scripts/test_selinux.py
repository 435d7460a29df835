"""The SELinux module compiles with a policy of Fedora's and of Debian's names, by secilc(8)."""

import shutil
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "packaging" / "selinux" / "paas_isolate.cil"

BASE = """\
(handleunknown allow)
(sid kernel)
(sidorder (kernel))
(class process (dyntransition))
(class dir (getattr open read search))
(class file (getattr open read write ioctl))
(class lnk_file (getattr read))
(class sock_file (getattr write))
(class unix_stream_socket (connectto))
(class filesystem (associate getattr))
(class capability (sys_admin sys_chroot))
(class key (link search))
(classorder (key process dir file lnk_file sock_file unix_stream_socket filesystem capability))
(user system_u)
(role object_r)
(role system_r)
(userrole system_u object_r)
(userrole system_u system_r)
(sensitivity s0)
(sensitivityorder (s0))
(userlevel system_u (s0))
(userrange system_u ((s0) (s0)))
(typeattribute file_type)
(typeattribute non_security_file_type)
(typeattribute mountpoint)
(type tmpfs_t)
(type tmp_t)
(roletype object_r tmp_t)
(type nsfs_t)
(type cgroup_t)
(type kernel_t)
(roletype object_r kernel_t)
(roletype system_r kernel_t)
(sidcontext kernel (system_u system_r kernel_t ((s0) (s0))))
(allow kernel_t self (process (dyntransition)))
"""
DEBIAN = ("sshd_t", "local_login_t", "crond_t", "sysadm_su_t", "initrc_t", "initrc_runtime_t", "ftpd_t")
FEDORA = ("sshd_t", "sshd_session_t", "local_login_t", "crond_t", "unconfined_service_t")


@pytest.mark.skipif(not shutil.which("secilc"), reason="secilc is not installed")
@pytest.mark.parametrize("domains", [DEBIAN, FEDORA, ()])
def test_the_module_compiles(domains: tuple[str, ...], tmp_path: Path) -> None:
    base, policy, contexts = tmp_path / "base.cil", tmp_path / "policy", tmp_path / "file_contexts"
    names = (*domains, "user_t")
    types = "".join(f"(type {name})\n(roletype system_r {name})\n" for name in names)
    base.write_text(
        f"{BASE}(typeattribute pidfile)\n(typeattribute userdomain)\n{types}(typeattributeset userdomain user_t)\n"
    )
    command = [
        "secilc",
        "--mls",
        "true",
        "--output",
        str(policy),
        "--filecontexts",
        str(contexts),
        str(base),
        str(MODULE),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contexts.read_text().count("system_u:object_r:paas_isolate_var_run_t:s0") == 2


def test_each_domain_has_a_block_of_its_own() -> None:
    """An optional block is left out as a whole where one name in it is unknown."""
    calls = [line for line in MODULE.read_text().splitlines() if "(call " in line]
    assert len(calls) == len({line.split()[1] for line in calls})
    assert all(line.startswith("(optional ") for line in calls)
