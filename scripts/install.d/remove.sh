# shellcheck shell=bash disable=SC2154  # what is not set here is set in scripts/install or a neighbour
# Removes everything that the manifest lists. Processes of customers are moved out of the tree and go on.
stacks=/etc/pam.d

remove_all() {
    leave_stacks
    if runs_systemd; then stop_units; fi
    rm -f -- "$destdir$cron_file.paas-isolate-tmp"
    if [[ ! $destdir ]]; then
        empty_trees
        clear_network
        clear_bandwidth
        clear_views
        clear_quotas
    fi
    [[ $purge == no ]] || purge_data
    put_back
    if runs_systemd; then forget_units; fi
    [[ $destdir ]] || rm -rf -- /run/paas-isolate
    ((changes)) || say 'nothing to remove'
}

# First of all: without doors the module refuses every customer, and so does a line whose module is missing.
leave_stacks() {
    local output
    passes_module || return 0
    [[ ! $destdir ]] || fail "logins there still pass pam_paas_isolate: take it out of $destdir$stacks first"
    output=$("$venv/bin/paas-isolate" pam remove 2>&1) ||
        fail "logins still pass pam_paas_isolate, and paas-isolate pam remove says: $output"
    ! passes_module || fail "a line in $stacks still names pam_paas_isolate: take it out by hand"
    changed "takes pam_paas_isolate out of $stacks"
}

passes_module() {
    local lines=("$destdir$stacks"/*)
    grep -qs '^[^#]*pam_paas_isolate' /dev/null "${lines[@]}"
}

stop_units() {
    local unit
    for unit in "$timer" "$daemon" paas-isolate-network.service paas-isolate-boot.service paas-isolate-shutdown.service paas-tree.service; do
        systemctl --quiet is-enabled "$unit" 2>/dev/null || continue
        changed "disables $unit"
        systemctl --quiet disable "$unit"
    done
    systemctl stop "$timer" "$daemon" paas-isolate.service paas-isolate-{network,boot,shutdown,metrics}.service 2>/dev/null || true
}

# The cron file is removed first, and a run that has begun may end, so that no process is moved in again.
empty_trees() {
    local tree run_lock
    keep_or_drop "$cron_file"
    if [[ -f /run/paas-isolate/lock ]]; then
        exec {run_lock}</run/paas-isolate/lock
        flock --timeout 60 "$run_lock" || fail 'a run of paas-isolate does not come to its end: ps -C paas-isolate'
    fi
    for tree in /sys/fs/cgroup/paas.slice/paas-tree.service "$(tree_root)"; do
        [[ -f $tree/cgroup.procs ]] || continue
        let_out "$tree"
        if runs_systemd; then stop_tree; fi
        [[ ! -d $tree ]] || find "$tree" -mindepth 1 -depth -type d -exec rmdir -- {} + 2>/dev/null || true
    done
}

# No run makes it again: empty_trees holds the lock, and the timer is stopped.
clear_network() {
    local found
    [[ -x $venv/bin/python ]] || return 0
    found=$(
        in_venv - 2>/dev/null <<'END'
from paas_isolate.changes.ruleset import TABLE
from paas_isolate.errors import HostError
from paas_isolate.linux.bpf.gate.gate import PINS
from paas_isolate.linux.bpf.gate.pins import Pins
from paas_isolate.linux.network import nft
from paas_isolate.linux.network.hosts import HostsFile
from paas_isolate.linux.network.links import WAS_OFF, Links

Pins(PINS).clear()
try:
    HostsFile().set(())
except HostError:
    pass
links = Links(f"/run/paas-isolate/{WAS_OFF}")
there = links.observe()
links.remove(there)
try:
    nft.run(f"delete table {TABLE}")
    print(f"the table {TABLE}", end=" and " if there else "\n")
except HostError:
    pass
if there:
    print(f"the local networks {', '.join(sorted(there))}" if len(there) < 4 else f"{len(there)} addresses")
END
    ) || return 0
    [[ ! $found ]] || changed "takes $found out of the network"
    rm -f /var/lib/paas-isolate/ruleset
    ! grep -qs '^# BEGIN paas-isolate' /etc/hosts || say 'take the lines of paas-isolate out of /etc/hosts by hand'
}

# No run makes it again, as above.
clear_bandwidth() {
    local found
    [[ -x $venv/bin/python && -f /run/paas-isolate/bandwidth ]] || return 0
    found=$(
        in_venv - 2>/dev/null <<'END'
from paas_isolate.linux.network.bandwidth import HostBandwidth

print(*HostBandwidth("/run/paas-isolate/bandwidth").clear())
END
    ) || return 0
    changed "lifts the limits of bandwidth${found:+ on $found}"
}

# Processes in a view stay in it.
clear_views() {
    rm -f /run/tmpfiles.d/paas-isolate-private.conf
    if mountpoint --quiet /run/paas-isolate/views; then
        umount --recursive --lazy /run/paas-isolate/views
        changed "takes the views of accounts away"
    fi
}

# A file system that is not mounted keeps its limits, and they stay recorded.
clear_quotas() {
    local file=/var/lib/paas-isolate/quotas.json found
    [[ -f $file && -x $venv/bin/python ]] || return 0
    found=$(
        in_venv - <<'END'
from paas_isolate.linux.quota.store import QuotaStore
from paas_isolate.source.applied_quotas import AppliedQuotas

given, left = QuotaStore(AppliedQuotas("/var/lib/paas-isolate")).lift_all()
print(given, *(f"uid {row.uid} on {row.system}" for row in left), sep="\n")
END
    ) || return 0
    [[ ${found%%$'\n'*} == 0 ]] || changed "lifts ${found%%$'\n'*} disk quotas"
    [[ $found != *$'\n'* ]] || say "disk quotas that cannot be lifted now, of file systems that are not mounted: ${found#*$'\n'}"
    [[ $found == *$'\n'* ]] || rm -f -- "$file"
}

tree_root() {
    [[ -x $venv/bin/python && -f /etc/paas-isolate/config.yaml ]] || return 0
    in_venv - 2>/dev/null <<'END' || true
import yaml
with open("/etc/paas-isolate/config.yaml") as config:
    print(yaml.safe_load(config)["tree"]["root"])
END
}

# Moves processes to the root of the hierarchy, which takes processes on every cgroup v2 system and has no limits.
let_out() { # TREE
    local round top=$1 moved=0 found
    while [[ -f ${top%/*}/cgroup.procs ]]; do top=${top%/*}; done
    for round in {1..100}; do
        found=0
        let_out_once "$1" "$top"
        ((found)) || break
    done
    ((!moved)) || changed "lets $moved processes of customers out of the tree; they go on, without limits"
    ((!found)) || fail "processes are left below $1 after $round rounds: cat $1/users/*/*/cgroup.procs"
}

# A process that is forked meanwhile is moved in the next round.
let_out_once() { # TREE TOP
    local procs pid pids
    while IFS= read -r procs; do
        [[ $procs != "$1/anchor/"* && $procs != "$1/cgroup.procs" ]] || continue
        { echo 0 >"${procs%procs}freeze"; } 2>/dev/null || true
        mapfile -t pids <"$procs"
        for pid in "${pids[@]}"; do
            found=1
            if { echo "$pid" >"$2/cgroup.procs"; } 2>/dev/null; then moved=$((moved + 1)); fi
        done
    done < <(find "$1" -name cgroup.procs 2>/dev/null)
}

# Before systemd 254 the unit refuses to be stopped by hand.
stop_tree() {
    local permit=/run/systemd/system/paas-tree.service.d
    if [[ $(systemctl show --property RefuseManualStop --value paas-tree.service) == yes ]]; then
        mkdir -p "$permit"
        printf '[Unit]\nRefuseManualStop=no\n' >"$permit/remove.conf"
        systemctl daemon-reload
    fi
    systemctl stop paas-tree.service 2>/dev/null || true
    rm -f -- "$permit/remove.conf"
    rmdir -- "$permit" 2>/dev/null || true
}

# Also what reconcile has set with `systemctl set-property`.
forget_units() {
    local control
    for control in {/etc,/run}/systemd/system.control; do
        [[ ! -d $control ]] || rm -rf -- "$control"/{paas.slice,paas-tree.service}.d
        rmdir -- "$control" 2>/dev/null || true
    done
    systemctl stop paas.slice 2>/dev/null || true
    systemctl daemon-reload
    systemctl reset-failed 'paas-isolate*' 'paas-tree*' 2>/dev/null || true
}

put_back() {
    local at entry path
    for ((at = ${#order[@]} - 1; at >= 0; at--)); do
        entry=${order[at]} path=${order[at]#* }
        case $entry in
            conf\ *) keep_or_drop "$path" ;;
            file\ * | link\ *) drop "$path" ;;
            tree\ *) drop "$path" ;;
            dir\ /opt/paas-isolate) drop "$path" ;;
            dir\ *) rmdir -- "$destdir$path" 2>/dev/null || true ;;
        esac
    done
}

drop() {
    [[ -e $destdir$1 || -L $destdir$1 ]] || return 0
    changed "removes $1"
    rm -rf -- "$destdir$1"
}

# Configuration stays where it is. Other edited files in /etc are moved away, so that they have no effect.
keep_or_drop() { # PATH
    [[ -f $destdir$1 && $1 != /etc/paas-isolate/* ]] || return 0
    if [[ $purge == yes ]] || is_default "$destdir$1" "$1"; then
        drop "$1"
        return
    fi
    mkdir -p "$destdir/etc/paas-isolate/edited"
    mv -f -- "$destdir$1" "$destdir/etc/paas-isolate/edited/"
    changed "moves $1, which you had edited, to /etc/paas-isolate/edited"
}

purge_data() {
    drop /etc/paas-isolate
    drop /var/lib/paas-isolate
}
