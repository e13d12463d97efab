# Sourced by tools/check, tools/demo and .ci/run: makes .venv and installs rprov into it, editable, when needed.
# Quiet unless something fails. Nothing is downloaded when nothing changed: a stamp remembers what was installed.

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# prepare_venv EXTRA...: after it, $venv/bin/python has rprov and these extras.
prepare_venv() {
    local python=${PYTHON:-python3} wanted stamp log
    venv="$root/.venv"
    command -v "$python" >/dev/null || { say "$python is missing; rprov needs Python 3.11 or newer"; exit 3; }
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        say "rprov needs Python 3.11 or newer; $("$python" --version) is at $(command -v "$python")"
        exit 3
    }
    # The path and the interpreter belong to the stamp: scripts of a venv hold absolute paths.
    wanted="${*:-plain} $({ printf '%s\n' "$root"; "$python" --version; cat "$root/setup.cfg" "$root/pyproject.toml"; } | sha256sum)"
    stamp="$venv/.rprov-installed"
    if [ -x "$venv/bin/python" ] && grep -qsxF "$wanted" "$stamp"; then
        return
    fi
    say "setting up $venv (once)"
    log=$(mktemp)
    if ! install_into_venv "$python" "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        say "the set-up failed; what it said stands above"
        exit 3
    fi
    rm -f "$log"
    printf '%s\n' "$wanted" >"$stamp"
}

install_into_venv() {
    local python=$1 extras
    shift
    extras=$(IFS=,; printf '%s' "$*")
    # A venv that was moved, or whose interpreter is gone, is made anew. (No `set -e` in here: bash ignores it in `if`.)
    if ! "$venv/bin/python" -c "import sys; sys.exit(sys.prefix != '$venv')" || ! "$venv/bin/python" -m pip --version; then
        "$python" -m venv --clear "$venv" || {
            echo "$python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"
            return 1
        }
    fi
    "$venv/bin/python" -m pip install --disable-pip-version-check --editable "$root${extras:+[$extras]}"
}
