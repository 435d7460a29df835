# shellcheck shell=bash disable=SC2154,SC2034  # TREE and PAAS come from the ground
# Functions that every script of the demonstration may use.
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /

tell() { printf '%s=%s\n' "$1" "$2"; } # NAME VALUE

unit_property() { systemctl show --property "$2" --value "$1"; } # UNIT PROPERTY

microseconds() { echo "${EPOCHREALTIME/./}"; }

field() { # FILE KEY
    local key value
    while read -r key value; do
        [[ $key != "$2" ]] || echo "$value"
    done <"$1"
}

# Enters the leaf first, then becomes the user: what a login does.
inside() { # ACCOUNT/SERVICE USER COMMAND...
    local leaf=$TREE/users/$1 user=$2
    shift 2
    (
        echo 0 >"$leaf/cgroup.procs" || exit 99
        exec setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"
    )
}

# Becomes the user, outside the tree: as programs of customers run where the product is not installed yet.
outside() { # USER FUNCTION ARGUMENT...
    local user=$1
    shift
    # shellcheck disable=SC2046  # names of functions are single words
    export -f $(compgen -A function)
    HOME=$(getent passwd "$user" | cut -d: -f6) \
        setpriv --reuid "$user" --regid "$user" --init-groups -- bash -c '"$@"' bash "$@"
}

# For use in the background: $! is then the program itself, not a shell around it.
start_inside() { # ACCOUNT/SERVICE USER COMMAND...
    local leaf=$TREE/users/$1 user=$2
    shift 2
    echo 0 >"$leaf/cgroup.procs" || exit 99
    exec setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"
}

replies() { # PORT REQUEST PATTERN: whether what listens there answers with such a line
    local line=
    (
        exec 9<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf '%b' "$2" >&9
        read -r -t 5 line <&9
        # shellcheck disable=SC2053  # it is a pattern
        [[ $line == $3 ]]
    ) 2>/dev/null
}

http() { replies "$1" 'GET / HTTP/1.0\r\n\r\n' 'HTTP/* 200*'; } # PORT

answers() { http "$1" || replies "$1" 'PING\r\n' '+PONG*'; } # PORT

eventually() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}

# For what takes milliseconds: checks without a fork, and leaves the processor to others in between.
at_once() { # SECONDS COMMAND...
    local end=$((SECONDS + $1)) silence
    shift
    exec {silence}<> <(:)
    until "$@"; do
        ((SECONDS < end)) || return 1
        read -r -t 0.002 -u "$silence"
    done
    exec {silence}>&-
}

detached() { setsid "$@" </dev/null >/dev/null 2>&1 & }

# The programs of customers. Each starts as its user, prints what it is, and stays.
serve_python() { # PORT
    cat >~/server.py <<'END'
import socket, sys
door = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    guest, _ = door.accept()
    with guest:
        guest.recv(4096)
        guest.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
END
    detached python3 ~/server.py "$1"
    tell program "a Python server"
}

serve_redis() { # PORT
    command -v redis-server >/dev/null || { serve_python "$1" && return; }
    redis-server --port "$1" --bind 127.0.0.1 --daemonize yes --dir ~ --save '' >/dev/null
    tell program redis-server
}

serve_nginx() { # PORT
    command -v nginx >/dev/null || { serve_python "$1" && return; }
    mkdir -p ~/site ~/tmp && echo hello >~/site/index.html
    cat >~/nginx.conf <<END
pid $HOME/nginx.pid;
error_log $HOME/nginx.log;
worker_processes 1;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $HOME/tmp; proxy_temp_path $HOME/tmp; fastcgi_temp_path $HOME/tmp;
    uwsgi_temp_path $HOME/tmp; scgi_temp_path $HOME/tmp;
    server { listen 127.0.0.1:$1; root $HOME/site; }
}
END
    # Master and workers are the customer's own.
    nginx -e ~/nginx.log -c ~/nginx.conf
    tell program nginx
}

serve_apache() { # PORT
    local modules=/usr/lib/apache2/modules
    command -v apache2 >/dev/null || { sleep_as apache2 && return; }
    mkdir -p ~/site && echo hello >~/site/index.html
    cat >~/apache.conf <<END
ServerRoot $HOME
ServerName localhost
PidFile $HOME/apache.pid
ErrorLog $HOME/apache.log
Listen 127.0.0.1:$1
DocumentRoot $HOME/site
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dir_module $modules/mod_dir.so
StartServers 1
MinSpareThreads 4
MaxSpareThreads 8
ThreadsPerChild 4
END
    apache2 -f ~/apache.conf
    tell program apache2
}

# A stand-in: an idle program under another's name.
sleep_as() { # NAME
    cp "$(command -v sleep)" ~/"$1"
    detached ~/"$1" infinity
    tell program "$1 (a stand-in: it is not installed here)"
}
