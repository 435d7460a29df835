# What the scripts of support/guest/ways.py have in common; sourced by bash, as root.
# shellcheck shell=bash
set -eu
F=$D/ssh_config
BY_PASSWORD='-o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1'
export SSH_ASKPASS=$D/askpass SSH_ASKPASS_REQUIRE=force PASSWORD
# As somebody would who knows where a manager of the user would have its bus.
BUS="XDG_RUNTIME_DIR=/run/user/$(id -u "$U") DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u "$U")/bus"
export TERM=linux F BY_PASSWORD BUS

ssh() { # -n only where nothing is to be said to it
    if [ -p /dev/stdin ]; then command ssh -F "$F" "$@"; else command ssh -F "$F" "$@" </dev/null; fi
}

console() { # COMMAND
    python3 -IS "$(dirname "${BASH_SOURCE[0]}")/console.py" "$@"
}

call() { # PORT, as descriptor 3: soon somebody listens there
    local _
    for _ in $(seq 100); do
        if { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; then return; fi
        sleep 0.1
    done
    return 1
}

greeted() { # PORT: sshd answers there
    call "$1"
    [ "$(head -c 4 <&3)" = SSH- ]
}

greeted_through_socks() { # PORT
    call "$1"
    printf '\5\1\0' >&3
    head -c 2 <&3 >/dev/null
    printf '\5\1\0\1\177\0\0\1\0\26' >&3
    head -c 10 <&3 >/dev/null
    [ "$(head -c 4 <&3)" = SSH- ]
}

cron_line() { # WHAT, as who
    printf '* * * * * %s\n' "$1" >/etc/cron.d/ways
}

minute() { # the clock goes on to shortly before a full minute: what is due then comes soon
    local full
    while :; do
        full=$(($(date +%s) / 60 * 60 + 120))
        date --set "@$((full - 4))" >/dev/null
        systemctl restart cron.service # which sleeps until the next minute of the clock that it has seen
        if [ "$(date +%s)" -lt $((full - 1)) ]; then return; fi
    done
}

as_after_reboot() {
    systemctl stop cron.service
    rm -f /run/crond.reboot
    systemctl start cron.service
}

unit() { # [OPTION...] COMMAND: as a daemon of the machine, which ends with the way
    systemd-run --quiet --collect --unit=ways-daemon "$@"
}

php_pool() {
    cat >"$D/fpm.conf" <<-POOL
	[global]
	daemonize = yes
	error_log = $D/fpm.log
	[customer]
	user = $U
	group = $U
	listen = $D/fpm.socket
	pm = static
	pm.max_children = 1
	POOL
    unit "$(ls /usr/sbin/php-fpm*)" --nodaemonize --fpm-config "$D/fpm.conf"
}

apache_suexec() {
    mkdir -p "/var/www/$U"
    printf '#!/bin/sh\nexec %s/look 60\n' "$D" >"/var/www/$U/look.cgi"
    chmod 755 "/var/www/$U" "/var/www/$U/look.cgi"
    chown -R "$U:$U" "/var/www/$U"
    cat >"$D/apache.conf" <<-APACHE
	ServerRoot /etc/apache2
	ServerName localhost
	Listen 127.0.0.1:7080
	PidFile $D/apache.pid
	ErrorLog $D/apache.log
	User www-data
	Group www-data
	LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
	LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
	LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
	LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so
	LoadModule suexec_module /usr/lib/apache2/modules/mod_suexec.so
	StartServers 1
	SuexecUserGroup $U $U
	ScriptAlias /cgi/ /var/www/$U/
	<Directory /var/www/$U>
	Require all granted
	</Directory>
	APACHE
    unit /usr/sbin/apache2 -f "$D/apache.conf" -X
    call 7080
    printf 'GET /cgi/look.cgi HTTP/1.0\r\n\r\n' >&3
}

forward() { # COMMAND
    printf '"|%s"\n' "$1" >"/home/$U/.forward"
    chown "$U:$U" "/home/$U/.forward"
}
