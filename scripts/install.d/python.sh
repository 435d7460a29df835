# shellcheck shell=bash disable=SC2154  # what is not set here is set in scripts/install or a neighbour
# The Python package, in its own virtual environment.
venv=/opt/paas-isolate/venv
python=/usr/bin/python3

install_python() {
    local ours
    note tree "$venv"
    prepare_venv
    ours=$(our_wheel)
    is_installed "$ours" || upgrade_package "$ours"
    put_link "$venv/bin/paas-isolate" /usr/local/bin/paas-isolate
}

# Below a destdir no bytecode: it would hold the path of a place where the environment does not stay.
in_venv() { "$destdir$venv/bin/python" "-I${destdir:+B}" "$@"; }

pip() {
    in_venv -m pip --quiet --disable-pip-version-check --no-input --no-cache-dir "$@"
}

from_where() {
    if [[ $wheels ]]; then printf '%s\n' --no-index --find-links "$wheels"; fi
}

# After an upgrade of the distribution has removed its Python, the environment is made anew.
prepare_venv() {
    if [[ -x $destdir$venv/bin/python ]] && in_venv -c 'import pip' 2>/dev/null; then return 0; fi
    need_venv_module
    changed "makes a Python environment in $venv"
    rm -rf -- "$destdir$venv"
    "$python" -m venv "$destdir$venv"
}

need_venv_module() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is missing or older than 3.11"
    ! "$python" -c 'import venv, ensurepip' 2>/dev/null || return 0
    need_packages 'this Python cannot make environments' python3-venv
}

# Path of our wheel: --wheel, the latest in --wheels, or built from the source tree.
our_wheel() {
    local found where
    found=${wheel:-$(latest_wheel "${wheels:-$scratch}")}
    if [[ ! $found ]]; then
        need_clang
        mapfile -t where < <(from_where)
        pip wheel --no-deps "${where[@]}" --wheel-dir "$scratch" "$source_tree" >&2
        found=$(latest_wheel "$scratch")
    fi
    printf '%s\n' "$found"
}

# The network's BPF programs are compiled into the wheel.
need_clang() {
    if command -v clang >/dev/null && [[ -f /usr/include/bpf/bpf_helpers.h ]]; then return 0; fi
    need_packages 'the BPF programs of the network cannot be compiled (or give --wheel FILE)' clang libbpf-dev
}

latest_wheel() { # DIR
    local found=("$1"/paas_isolate-*.whl)
    ((${#found[@]} == 0)) || printf '%s\n' "${found[@]}" | sort -V | tail -n 1
}

is_installed() { # WHEEL
    [[ $(cat "$destdir$venv/paas-isolate.sha256" 2>/dev/null) == "$(sum "$1")" ]] &&
        [[ -x $destdir$venv/bin/paas-isolate ]]
}

# In an emulated machine pip takes half a minute, most of it for dependencies that are installed already.
upgrade_package() { # WHEEL
    local where missing
    missing_dependencies "$1" >"$scratch/missing"
    mapfile -t missing <"$scratch/missing"
    mapfile -t where < <(from_where)
    pause_timer
    rm -f -- "$destdir$venv/paas-isolate.sha256"
    if ((${#missing[@]})); then
        changed "installs Python packages: ${missing[*]}"
        pip install "${where[@]}" "${missing[@]}"
    fi
    changed "installs ${1##*/}"
    pip install --no-index --no-deps --force-reinstall "$1"
    [[ ! $destdir ]] || forget_destdir
    sum "$1" >"$destdir$venv/paas-isolate.sha256"
}

# Requirements of the wheel that the environment lacks, one a line, as pip reads them.
missing_dependencies() { # WHEEL
    in_venv - "$1" <<'END'
import sys, zipfile
from email.parser import HeaderParser
from importlib.metadata import PackageNotFoundError, version
from pip._vendor.packaging.requirements import Requirement

def is_there(wanted):
    try:
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except PackageNotFoundError:
        return False

with zipfile.ZipFile(sys.argv[1]) as wheel:
    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = HeaderParser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist") or []
for wanted in map(Requirement, said):
    if (wanted.marker is None or wanted.marker.evaluate({"extra": ""})) and not is_there(wanted):
        wanted.marker = None
        print(wanted)
END
}

# The environment is made below the destdir and used without it: its files must not name the destdir.
forget_destdir() {
    find "$destdir$venv" -name __pycache__ -prune -exec rm -rf -- {} +
    grep -rlIZF --include='*' -e "$destdir" "$destdir$venv/bin" "$destdir$venv/pyvenv.cfg" |
        xargs -0r sed -i "s|$(printf '%s' "$destdir" | sed 's/[][\\.*^$|]/\\&/g')/opt/|/opt/|g"
}
