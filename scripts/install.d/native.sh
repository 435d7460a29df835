# shellcheck shell=bash disable=SC2154  # what is not set here is set in scripts/install or a neighbour
# The PAM module and the launchers, in C. A new file is renamed over the old one: a login or a unit that is starting has
# either of them, complete.
module=pam_paas_isolate.so
launcher=/usr/local/sbin/paas-enter
keeper=/usr/local/sbin/paas-run
built_note=/opt/paas-isolate/built

# The module is installed as `make` made it: strip(1) would break the seal that keeps a truncated module from loading.
install_native() {
    local where
    where=$(module_directory) || exit 1
    room "$where"
    room "${launcher%/*}"
    note file "$where/$module"
    note file "$launcher"
    note file "$keeper"
    note file "$built_note"
    if [[ $built ]]; then
        put_native "$built" "$where"
    elif ! is_built "$where"; then
        need_compiler
        build_native
        put_native "$scratch/pam" "$where"
    fi
    what_is_built "$where" >"$scratch/built"
    has "$scratch/built" "$built_note" 644 || write "$scratch/built" "$built_note" 644
}

put_native() { # DIR WHERE
    put "$1/$module" "$2/$module"
    put "$1/paas-enter" "$launcher" 755
    put "$1/paas-run" "$keeper" 755
}

# Where pam_unix.so lies: below the destdir if it is there, else as on this machine. Where there are several, for
# several architectures, the compiler's.
module_directory() {
    local root found triplet
    triplet=$(gcc -print-multiarch 2>/dev/null || dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null) || true
    for root in "$destdir" ''; do
        for found in "$root"{/usr,}/lib/"${triplet:-.}"/security/pam_unix.so "$root"{/usr,}/lib{/*,64,}/security/pam_unix.so; do
            [[ -f $found ]] || continue
            found=${found#"$root"}
            printf '%s\n' "${found%/*}"
            return
        done
    done
    fail 'pam_unix.so is nowhere: on this machine logins do not pass PAM'
}

# Checksums of the sources and of the compiled files: a damaged file is compiled again by the next run.
what_is_built() { # WHERE
    (cd "$source_tree/pam" && sha256sum Makefile ./*.sh ./*/*.[ch] ./*/*.map) | sum /dev/stdin
    (cd "$destdir/" && sha256sum ".$1/$module" ".$launcher" ".$keeper" && stat -c %a ".$1/$module" ".$launcher" ".$keeper") 2>/dev/null || true
}

is_built() { # WHERE
    [[ -f $destdir$built_note && $(what_is_built "$1") == "$(<"$destdir$built_note")" ]]
}

need_compiler() {
    if command -v gcc make >/dev/null &&
        printf '#include <stdlib.h>\n#include <security/pam_modules.h>\n' | gcc -fsyntax-only -xc - 2>/dev/null; then
        return 0
    fi
    need_packages "the PAM module cannot be compiled${destdir:+ (or give --built DIR)}" gcc make libc6-dev libpam0g-dev
}

# Without debugging information, which names the scratch directory, the same sources make the same files.
build_native() {
    mkdir -- "$scratch/pam"
    cp -R -- "$source_tree"/pam/{Makefile,seal.sh,common,launchers,module} "$scratch/pam/"
    make --silent -C "$scratch/pam" CFLAGS=-O2 >"$scratch/make" 2>&1 || fail "pam/ does not compile: $(<"$scratch/make")"
    changed 'compiles the PAM module, paas-enter and paas-run'
}
