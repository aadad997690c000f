#!/usr/bin/env bash
# Installs the Primus Lens wandb exporter into one Python environment and checks that wandb is intercepted there.
# Made to be piped into bash, as root in anybody's folder: it asks nothing, reads nothing, and nothing that lies in the
# folder it is started in runs or is read, but for the paths that it is given.
set -euo pipefail

# What the calling shell exports for itself: a `cd` that lists, a `python3` in a container.
for name in $(compgen -A function); do unset -f "$name"; done
unset CDPATH GREP_OPTIONS

readonly REQUIREMENT="primus-lens-wandb-exporter>=1.0"
readonly PACKAGE="primus_lens_wandb_exporter"
readonly START="${PWD:-/}"

usage() {
    cat <<'USAGE'
Installs the Primus Lens wandb exporter and checks that wandb is intercepted.

  curl -fsSL .../install.sh | bash
  curl -fsSL .../install.sh | PYTHON=/opt/venv/bin/python bash
  curl -fsSL .../install.sh | bash -s -- --user
  bash install.sh --from dist/primus_lens_wandb_exporter-1.0.0-py3-none-any.whl
  bash install.sh --no-index --find-links /mnt/wheels

Which Python: $PYTHON if set, else the active virtual environment, else the active conda environment, else python3.
What: --from PATH if given, else the checkout that this script lies in, else primus-lens-wandb-exporter>=1.0 from the
package index.

Options:
  --from PATH              a wheel, an sdist or a checkout to install
  --user                   install for this user only (not in virtual environments)
  --upgrade                replace an installed version by the newest
  --no-index               ask no package index (with --find-links: offline)
  --find-links PATH        look for packages there too
  --index-url URL, --extra-index-url URL
                           ask these package indexes
  --break-system-packages  install into a Python that belongs to the operating system
  -- ARGUMENT...           hand everything that follows to `pip install` (or `uv pip install`)
  --help                   show this text

Relative paths, in PYTHON too, mean the folder that this is started in. All work is done in /: relative entries of PATH,
PYTHONPATH and other variables do not mean that folder, and no file there is read that is not named.
Running it again changes nothing that is in order, and repairs what is not.
Exit status: 0 wandb is intercepted, 1 it is not, 2 wrong usage.
USAGE
}

say() { printf '%s\n' "$*"; }

fail() {
    printf 'install.sh: %s\n' "$@" >&2
    exit 1
}

refuse_usage() {
    printf 'install.sh: %s (see --help)\n' "$1" >&2
    exit 2
}

# Prints what a path given in the start folder is called from everywhere; addresses stay as they are.
absolute() {
    if [[ "$1" == /* || "$1" == *://* ]]; then
        printf '%s\n' "$1"
    else
        printf '%s\n' "${START%/}/$1"
    fi
}

# Whether the value of this option of pip or uv is a path.
takes_path() {
    case "$1" in
        -[bcefrt] | --requirement | --requirements | --constraint | --constraints | --build-constraint) ;;
        --build-constraints | --override | --overrides | --editable | --find-links | --index-url) ;;
        --extra-index-url | --target | --prefix | --root | --src | --cert | --client-cert | --log) ;;
        --cache-dir | --report | --config-file) ;;
        *) return 1 ;;
    esac
}

# Whether pip and uv would take this word for a path, and not for the name of a package.
is_path() {
    [[ "$1" == . || "$1" == .. || "$1" == ./* || "$1" == ../* ]] && return
    [[ "$1" == */* || "$1" == *.whl || "$1" == *.tar.gz || "$1" == *.zip ]] && [[ -e "${START%/}/${1%%\[*}" ]]
}

# Prints the path of the interpreter to install into.
choose_python() {
    local candidate wanted="${PYTHON:-}"
    if [[ -n "$wanted" ]]; then
        [[ "$wanted" != */* ]] || wanted="$(absolute "$wanted")"
        command -v -- "$wanted" || fail "PYTHON=$PYTHON is not there or not executable; set it to the path of a Python."
        return
    fi
    for candidate in "${VIRTUAL_ENV:+$(absolute "$VIRTUAL_ENV")/bin/python}" \
        "${CONDA_PREFIX:+$(absolute "$CONDA_PREFIX")/bin/python}" python3 python; do
        if [[ -n "$candidate" ]] && command -v -- "$candidate"; then
            return
        fi
    done
    fail "there is no python3 on PATH; set PYTHON to the path of a Python 3.7 or newer."
}

# Prints the checkout that this script lies in, if it does. A script from a pipe has no place.
find_own_checkout() {
    local source folder
    source="$(absolute "${BASH_SOURCE[0]:-}")"
    [[ "${source##*/}" == install.sh && -f "$source" ]] || return 0
    folder="$(cd -- "${source%/*}" && pwd)"
    if [[ -f "$folder/pyproject.toml" && -d "$folder/src/$PACKAGE" ]]; then
        printf '%s\n' "$folder"
    fi
}

explain_failure() {
    local log="$1" python="$2"
    shopt -s nocasematch
    echo >&2
    if [[ "$log" == *externally[-\ ]managed* ]]; then
        cat >&2 <<EXPLANATION
This Python ($python) belongs to the operating system, which does not let pip change it (PEP 668). Install into a
virtual environment, the one that training runs in:
    $python -m venv ~/primus-lens
    PYTHON=~/primus-lens/bin/python bash install.sh      (piped: curl ... | PYTHON=~/primus-lens/bin/python bash)
In a container image that has no other use, --break-system-packages installs into this Python all the same.
EXPLANATION
    elif [[ "$log" == *"user site-packages are not visible"* ]]; then
        say "A virtual environment takes no --user: leave it out." >&2
    elif [[ "$log" == *"no matching distribution"* || "$log" == *"no solution found"* ||
        "$log" == *"not found in the package registry"* ]]; then
        say "A package was not found. Offline, --find-links must name a folder with the wheels of the exporter and of" \
            "what it needs (wandb, requests, psutil); without --no-index, look at the network and the index." >&2
    elif [[ "$log" == *"permission denied"* ]]; then
        say "The folder cannot be written: use a virtual environment, or --user." >&2
    fi
    shopt -u nocasematch
}

main() {
    local python="" from="" place="" user="" log line command
    local -a installer=() options=()

    # `python -m` and `python -c` look for modules in the current folder first, uv and old versions of pip for settings.
    cd /
    # Python and uv take another folder where none is named, but uv does not where a wrong one is.
    [[ "${TMPDIR:-}" == /* && -d "$TMPDIR" && -w "$TMPDIR" ]] || unset TMPDIR

    while (($#)); do
        case "$1" in
            --help | -h) usage && exit 0 ;;
            --user) user=yes && options+=("$1") ;;
            --upgrade | --no-index | --break-system-packages) options+=("$1") ;;
            --from | --find-links | --index-url | --extra-index-url)
                (($# > 1)) || refuse_usage "$1 needs a value"
                if [[ "$1" == --from ]]; then from="$2"; else options+=("$1" "$(absolute "$2")"); fi
                shift
                ;;
            --from=*) from="${1#*=}" ;;
            --find-links=* | --index-url=* | --extra-index-url=*)
                options+=("${1%%=*}" "$(absolute "${1#*=}")")
                ;;
            --) break ;;
            *) refuse_usage "unknown argument: $1" ;;
        esac
        shift
    done
    while (($# > 1)); do
        shift
        if takes_path "$1" && (($# > 1)); then
            options+=("$1" "$(absolute "$2")") && shift
        elif [[ "$1" == --*=* ]] && takes_path "${1%%=*}"; then
            options+=("${1%%=*}=$(absolute "${1#*=}")")
        elif [[ "$1" == -[!-]?* ]] && takes_path "${1:0:2}"; then
            options+=("${1:0:2}" "$(absolute "${1:2}")")
        elif is_path "$1"; then
            options+=("$(absolute "$1")")
        else
            options+=("$1")
        fi
    done

    python="$(choose_python)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 7))' ||
        fail "$python does not work or is older than Python 3.7; set PYTHON to the path of another."
    # A shim or a relative path becomes the interpreter itself.
    python="$("$python" -c 'import sys; print(sys.executable)')"

    if "$python" -m pip --version >/dev/null 2>&1; then
        installer=("$python" -m pip install --disable-pip-version-check --no-input)
    elif command -v uv >/dev/null; then
        [[ -z "$user" ]] || fail "$python has no pip, and uv knows no --user. Get pip with: $python -m ensurepip --user"
        installer=(uv pip install --python "$python")
    else
        fail "$python has no pip, and there is no uv. Get pip with: $python -m ensurepip" \
            "(on Debian and Ubuntu: apt-get install python3-pip python3-venv)"
    fi

    if [[ -n "$from" ]]; then
        place="$(absolute "$from")"
        [[ -e "$place" ]] || fail "--from $from: there is no such file or folder."
        [[ ! -d "$place" || -f "$place/pyproject.toml" ]] ||
            fail "--from $from: not a checkout. For a folder of wheels: --no-index --find-links $from"
    else
        place="$(find_own_checkout)"
    fi

    say "Installing ${place:-$REQUIREMENT} into $python"
    exec 3>&1
    # Shown as it comes, and kept for the explanation.
    if ! log="$("${installer[@]}" ${options[@]+"${options[@]}"} "${place:-$REQUIREMENT}" 2>&1 |
        while IFS= read -r line || [[ -n "$line" ]]; do
            printf '%s\n' "$line" >&3
            printf '%s\n' "$line"
        done)"; then
        explain_failure "$log" "$python"
        fail "the installation did not work; nothing was activated."
    fi

    # The switch may be off where this runs (an image being built) and on where training runs.
    unset PRIMUS_LENS_WANDB_HOOK
    "$python" -m "$PACKAGE.cli" install >/dev/null || true
    if ! "$python" -m "$PACKAGE.cli" check; then
        fail "the package is installed, but wandb is not intercepted: see the lines marked with a cross above."
    fi
    # The script takes no module from the folder that it is started in; `python -m` does.
    command="${python%/*}/primus-lens-wandb"
    [[ -x "$command" ]] || command="$python -m $PACKAGE.cli"
    say "Done. Run training as ever; check at any time with: $command check"
}

# In braces, so that a download that was cut off runs nothing.
{ main "$@" </dev/null; exit; }
