# shellcheck shell=bash disable=SC2154  # what is not set here is set in scripts/install or a neighbour
# The cron file: always there, its line a comment unless cron was chosen.
cron_file=/etc/cron.d/paas-isolate
cron_line='[^#]*/paas-isolate reconcile'

install_cron() {
    local state=off wanted=$scratch/cron
    [[ $by != cron ]] || state=on
    turned "$state" "$source_tree/config/cron.d/paas-isolate" >"$wanted"
    settle "$wanted" "$cron_file"
    # An edited file keeps its text; the choice only turns its line on or off.
    if ! turned "$state" "$destdir$cron_file" | cmp -s - "$destdir$cron_file"; then
        turned "$state" "$destdir$cron_file" >"$wanted"
        write "$wanted" "$cron_file" 644
    fi
    [[ $by != cron || $destdir || -d /var/spool/cron ]] || say 'no cron is installed here: apt-get install cron'
}

turned() { # on|off FILE
    if [[ $1 == on ]]; then
        sed "s|^#\($cron_line\)|\1|" "$2"
    else
        sed "s|^$cron_line|#&|" "$2"
    fi
}

cron_is_active() { grep -qs "^$cron_line" "$destdir$cron_file"; }
