# shellcheck shell=bash disable=SC2154  # what is not set here is set in scripts/install or a neighbour
# Units: installed, enabled once and started; stopped before they are removed.
units=/etc/systemd/system
always=(paas-tree.service paas-isolate-network.service paas-isolate-boot.service paas-isolate-shutdown.service)
timer=paas-isolate.timer
daemon=paas-isolate-daemon.service
timer_was_paused=no
daemon_was_paused=no

# What is active after an earlier, complete installation is the administrator's choice. Read before any file changes.
choose() {
    [[ ! $by ]] || return 0
    by=$(found_choice)
    [[ ! $by ]] || return 0
    if runs_systemd; then by=timer; elif [[ $destdir ]]; then by=none; else by=cron; fi
}

found_choice() {
    was_noted complete / || return 0
    if cron_is_active; then
        echo cron
    elif [[ -L $destdir$units/timers.target.wants/$timer ]]; then
        echo timer
    else
        echo none
    fi
}

install_units() {
    local unit
    for unit in "$source_tree"/systemd/*.{slice,service,timer}; do
        settle "$unit" "$units/${unit##*/}"
    done
    if before_254; then
        settle "$source_tree/systemd/paas-tree.service.d/before-254.conf" \
            "$units/paas-tree.service.d/before-254.conf"
    fi
    settle "$source_tree/systemd/paas-isolate.tmpfiles.conf" /etc/tmpfiles.d/paas-isolate.conf
}

# Whether systemd is older than 254, on this machine or in the image below $destdir.
before_254() {
    local version
    if [[ $destdir ]]; then
        version=$(find "$destdir"/{usr/,}lib -name 'libsystemd-shared-*.so' -printf '%f\n' 2>/dev/null | head -n 1) || true
        version=${version#libsystemd-shared-}
    else
        version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    fi
    version=${version%%[!0-9]*}
    ((${version:-999} < 254))
}

activate_units() {
    if ! runs_systemd; then
        without_systemd
        return
    fi
    systemd-tmpfiles --create /etc/tmpfiles.d/paas-isolate.conf
    if needs_reload; then systemctl daemon-reload; fi
    enable_new
    start_if_enabled paas-tree.service
    start_if_enabled paas-isolate-shutdown.service
    choose_timer
}

needs_reload() {
    ((changes)) || systemctl show --property NeedDaemonReload --value paas.slice "${always[@]}" "$timer" | grep -qx yes
}

without_systemd() {
    if [[ $destdir ]]; then
        say "only files were put below $destdir; to enable the units there:"
        say "  systemctl --root=$destdir enable ${always[*]}$([[ $by != timer ]] || echo " $timer")"
        return
    fi
    mkdir -p /run/paas-isolate
    say 'systemd does not run here: name a cgroup v2 directory for the tree in /etc/paas-isolate/config.yaml (tree.root),'
    say 'and let every boot make /run/paas-isolate and run "paas-isolate reconcile", before logins'
}

# A unit is enabled at its first installation only: it may have been disabled on purpose since.
enable_new() {
    local unit
    for unit in "${always[@]}"; do
        if was_noted complete / && was_noted conf "$units/$unit"; then continue; fi
        if systemctl --quiet is-enabled "$unit" 2>/dev/null; then continue; fi
        changed "enables $unit"
        systemctl --quiet enable "$unit"
    done
}

choose_timer() {
    local is=no
    ! systemctl --quiet is-enabled "$timer" 2>/dev/null || is=yes
    if [[ $by == timer && $is == no ]]; then
        changed "enables $timer"
        systemctl --quiet enable "$timer"
    elif [[ $by != timer && $is == yes ]]; then
        changed "disables $timer"
        systemctl --quiet disable --now "$timer"
        timer_was_paused=no
    fi
    [[ $by != timer ]] || start_if_enabled "$timer"
}

start_if_enabled() { # UNIT
    systemctl --quiet is-enabled "$1" 2>/dev/null || return 0
    ! systemctl --quiet is-active "$1" || return 0
    changed "starts $1"
    systemctl start "$1" || fail "$1 does not start: systemctl status $1"
}

# No run of the timer or the daemon may meet an incomplete upgrade.
pause_timer() {
    if ! runs_systemd; then return 0; fi
    if systemctl --quiet is-active "$daemon"; then
        daemon_was_paused=yes
        systemctl stop "$daemon"
    fi
    if ! systemctl --quiet is-active "$timer"; then return 0; fi
    timer_was_paused=yes
    systemctl stop "$timer"
}

resume_timer() {
    [[ $timer_was_paused == no ]] || systemctl start "$timer"
    timer_was_paused=no
    [[ $daemon_was_paused == no ]] || systemctl start "$daemon"
    daemon_was_paused=no
}
