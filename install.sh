#!/usr/bin/env bash
# Installs the Primus Lens wandb exporter into one Python environment and checks that wandb is intercepted there.
# Made to be piped into bash: it asks nothing and reads nothing.
set -euo pipefail

readonly REQUIREMENT="primus-lens-wandb-exporter>=1.0"
readonly PACKAGE="primus_lens_wandb_exporter"

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

# Prints the path of the interpreter to install into.
choose_python() {
    local candidate
    if [[ -n "${PYTHON:-}" ]]; then
        command -v -- "$PYTHON" || fail "PYTHON=$PYTHON is not there or not executable; set it to the path of a Python."
        return
    fi
    for candidate in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python}" python3 python; do
        if [[ -n "$candidate" ]] && command -v -- "$candidate"; then
            return
        fi
    done
    fail "there is no python3 on PATH; set PYTHON to the path of a Python 3.7 or newer."
}

# Prints the checkout that this script lies in, if it does. A script from a pipe has no place.
find_own_checkout() {
    local source="${BASH_SOURCE[0]:-}" folder
    [[ "${source##*/}" == install.sh && -f "$source" ]] || return 0
    folder="$(cd -- "$(dirname -- "$source")" && pwd)"
    if [[ -f "$folder/pyproject.toml" && -d "$folder/src/$PACKAGE" ]]; then
        printf '%s\n' "$folder"
    fi
}

explain_failure() {
    local log="$1" python="$2"
    echo >&2
    if grep -qi 'externally[- ]managed' "$log"; then
        cat >&2 <<EXPLANATION
This Python ($python) belongs to the operating system, which does not let pip change it (PEP 668). Install into a
virtual environment, the one that training runs in:
    $python -m venv ~/primus-lens
    PYTHON=~/primus-lens/bin/python bash install.sh      (piped: curl ... | PYTHON=~/primus-lens/bin/python bash)
In a container image that has no other use, --break-system-packages installs into this Python all the same.
EXPLANATION
    elif grep -qi 'user site-packages are not visible' "$log"; then
        say "A virtual environment takes no --user: leave it out." >&2
    elif grep -qiE 'no matching distribution|no solution found|not found in the package registry' "$log"; then
        say "A package was not found. Offline, --find-links must name a folder with the wheels of the exporter and of" \
            "what it needs (wandb, requests, psutil); without --no-index, look at the network and the index." >&2
    elif grep -qi 'permission denied' "$log"; then
        say "The folder cannot be written: use a virtual environment, or --user." >&2
    fi
}

main() {
    local python="" from="" user="" log
    local -a installer=() options=()

    while (($#)); do
        case "$1" in
            --help | -h) usage && exit 0 ;;
            --user) user=yes && options+=("$1") ;;
            --upgrade | --no-index | --break-system-packages) options+=("$1") ;;
            --from | --find-links | --index-url | --extra-index-url)
                (($# > 1)) || refuse_usage "$1 needs a value"
                if [[ "$1" == --from ]]; then from="$2"; else options+=("$1" "$2"); fi
                shift
                ;;
            --from=*) from="${1#*=}" ;;
            --find-links=* | --index-url=* | --extra-index-url=*) options+=("${1%%=*}" "${1#*=}") ;;
            --) shift && options+=("$@") && break ;;
            *) refuse_usage "unknown argument: $1" ;;
        esac
        shift
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
        [[ -e "$from" ]] || fail "--from $from: there is no such file or folder."
        [[ ! -d "$from" || -f "$from/pyproject.toml" ]] ||
            fail "--from $from: not a checkout. For a folder of wheels: --no-index --find-links $from"
        # pip takes a path without a slash for the name of a package.
        [[ "$from" == /* ]] || from="./$from"
    else
        from="$(find_own_checkout)"
    fi

    say "Installing ${from:-$REQUIREMENT} into $python"
    log="$(mktemp)"
    # shellcheck disable=SC2064  # the name is known now, and local
    trap "rm -f '$log'" EXIT
    if ! "${installer[@]}" ${options[@]+"${options[@]}"} "${from:-$REQUIREMENT}" 2>&1 | tee "$log"; then
        explain_failure "$log" "$python"
        fail "the installation did not work; nothing was activated."
    fi

    # Away from here: `python -m` would look for modules in the current folder first. The switch may be off where this
    # runs (an image being built) and on where training runs.
    cd /
    unset PRIMUS_LENS_WANDB_HOOK
    "$python" -m "$PACKAGE.cli" install >/dev/null || true
    if ! "$python" -m "$PACKAGE.cli" check; then
        fail "the package is installed, but wandb is not intercepted: see the lines marked with a cross above."
    fi
    say "Done. Run training as ever; check at any time with: $python -m $PACKAGE.cli check"
}

# In braces, so that a download that was cut off runs nothing.
{ main "$@" </dev/null; exit; }
