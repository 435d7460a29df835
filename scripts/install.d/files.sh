# shellcheck shell=bash disable=SC2154  # what is not set here is set in scripts/install or a neighbour
# Files, and the two lists about them. Paths are those on the installed machine; $destdir is put in front only where a
# file is read or written.
#
# The manifest: `KIND PATH` a line, in the order in which they are made. Each is noted before it is made, so that
# --remove also undoes an installation that did not complete.
#   file, link, dir   ours             conf   a file that the administrator may edit
#   tree              a directory with all its content
#   complete /        an installation has completed
# The defaults: `SHA256  PATH` of every version of a conf that was ever installed. A conf with another checksum was edited.
manifest=/opt/paas-isolate/manifest
defaults=/var/lib/paas-isolate/installed

declare -A noted=() seen=()
order=()
changes=0

say() { printf '%s\n' "$*"; }

fail() {
    printf 'scripts/install: %s\n' "$*" >&2
    exit 1
}

changed() {
    changes=$((changes + 1))
    say "$@"
}

# Installs Debian packages that this needs, where it may download any; a removal leaves them there.
need_packages() { # WHAT-IS-WRONG PACKAGE...
    local wrong=$1 packages=("${@:2}")
    [[ ! $wheels && ! $destdir ]] || fail "$wrong: apt-get install ${packages[*]}"
    changed "installs ${packages[*]} with apt-get (a removal leaves them there)"
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${packages[@]}" {lock_fd}<&- ||
        fail "$wrong: apt-get install ${packages[*]}"
}

read_manifest() {
    local line
    [[ -f $destdir$manifest ]] || return 0
    while IFS= read -r line; do
        noted[$line]=before
        order+=("$line")
    done <"$destdir$manifest"
}

was_noted() { [[ ${noted["$1 $2"]:-} == before ]]; }

note() { # KIND PATH
    seen["$1 $2"]=yes
    [[ ! ${noted["$1 $2"]:-} ]] || return 0
    noted["$1 $2"]=now
    order+=("$1 $2")
    if [[ -f $destdir$manifest ]]; then
        printf '%s\n' "$1 $2" >>"$destdir$manifest"
    elif [[ -d $destdir${manifest%/*} ]]; then
        printf '%s\n' "${order[@]}" >"$destdir$manifest"
    fi
}

# Makes the directory PATH where it is missing: only then does --remove remove it.
room() { # PATH [MODE]
    [[ $1 && ! -d $destdir$1 ]] || return 0
    room "${1%/*}"
    note dir "$1"
    mkdir -m "${2:-755}" -- "$destdir$1"
}

# Closes a directory to all but root and its group; an earlier version left it open.
close_to_others() { # PATH
    (($(stat -c 0%a -- "$destdir$1") & 7)) || return 0
    chmod o-rwx -- "$destdir$1"
    changed "closes $1 to others"
}

has() { # SOURCE PATH MODE
    [[ -f $destdir$2 && ! -L $destdir$2 && $(stat -c %a -- "$destdir$2") == "$3" ]] && cmp -s -- "$1" "$destdir$2"
}

write() { # SOURCE PATH MODE
    install -m "$3" -- "$1" "$destdir$2.paas-isolate-tmp"
    mv -fT -- "$destdir$2.paas-isolate-tmp" "$destdir$2"
    changed "writes $2"
}

put() { # SOURCE PATH [MODE]
    room "${2%/*}"
    note file "$2"
    has "$1" "$2" "${3:-644}" || write "$1" "$2" "${3:-644}"
}

put_link() { # TARGET PATH
    local is
    is=$(readlink -- "$destdir$2" || true)
    [[ $is || ! -e $destdir$2 ]] || fail "$2 is there and not from here: move it away"
    room "${2%/*}"
    note link "$2"
    [[ $is != "$1" ]] || return 0
    ln -sfnT -- "$1" "$destdir$2"
    changed "links $2 to $1"
}

sum() { sha256sum <"$1" | cut -d' ' -f1; }

is_default() { grep -qsxF "$(sum "$1")  $2" "$destdir$defaults"; } # FILE PATH

remember_default() { # FILE PATH
    is_default "$1" "$2" || printf '%s  %s\n' "$(sum "$1")" "$2" >>"$destdir$defaults"
}

had_default() { grep -qsF "  $1" "$destdir$defaults"; } # PATH

# Installs a default configuration file, which is the administrator's once it was edited.
settle() { # SOURCE PATH
    room "${2%/*}"
    if has "$1" "$2" 644; then
        note conf "$2"
    elif [[ ! -e $destdir$2 ]]; then
        [[ $2 != /etc/paas-isolate/* ]] || ! had_default "$2" || return 0
        note conf "$2"
        write "$1" "$2" 644
    elif is_default "$destdir$2" "$2"; then
        note conf "$2"
        write "$1" "$2" 644
    else
        keep_edited "$1" "$2"
    fi
    remember_default "$1" "$2"
}

keep_edited() { # SOURCE PATH
    [[ ! ${noted["conf $2"]:-} ]] || note conf "$2"
    if is_default "$1" "$2" && [[ ! -e $destdir$2.new ]]; then
        say "keeps $2 as you edited it"
        return
    fi
    say "keeps $2 as you edited it; this version's default is $2.new"
    put "$1" "$2.new"
}

# Removes what an earlier version installed and this one no longer has.
drop_what_this_version_lacks() {
    local entry path keep=()
    for entry in "${order[@]}"; do
        path=${entry#* }
        if [[ ${seen[$entry]:-} || $entry != @(file|conf)\ * ]]; then
            keep+=("$entry")
        elif [[ $entry == conf\ * && -e $destdir$path ]] && ! is_default "$destdir$path" "$path"; then
            say "keeps $path as you edited it; this version has none"
        else
            rm -f -- "$destdir$path"
            changed "removes $path, which this version has no more"
        fi
    done
    ((${#keep[@]} < ${#order[@]})) || return 0
    order=("${keep[@]}")
    printf '%s\n' "${order[@]}" >"$destdir$manifest.tmp"
    mv -f -- "$destdir$manifest.tmp" "$destdir$manifest"
}
