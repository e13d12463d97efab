#!/usr/bin/env bash
# Runs a command in a Linux kernel that has SCTP: tools/with_sctp_kernel.sh COMMAND [ARGUMENT ...]
#
# The kernel is User-Mode Linux (Debian: apt-get install --no-install-recommends user-mode-linux), an ordinary process
# that needs no rights. The command sees this machine's files, the same directory and environment, but a network of
# its own that has a loopback only. Its output comes as it is written; the exit code is the command's.
#
#   SCTP_KERNEL_MEMORY=768       megabytes that the kernel has
#   SCTP_KERNEL_SECONDS=600      the longest that all of it may take
#
# Ends with 125 where the kernel does not boot (and shows what it said), with 124 where the time is over.
set -uo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
[ $# -gt 0 ] || { sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

fail() { echo "with_sctp_kernel: $*" >&2; exit 125; }
kernel=$(command -v linux.uml) || fail "linux.uml is missing: apt-get install --no-install-recommends user-mode-linux"
python=$(command -v python3) || fail "python3 is missing"
memory=${SCTP_KERNEL_MEMORY:-768}

run=$(mktemp -d) || fail "no temporary directory"
: >"$run/out"
: >"$run/err"
printf '%s\0' "$@" >"$run/command"
env -0 >"$run/environment"
pwd >"$run/directory"

# The kernel's memory is a file; on a small tmpfs it would die in the middle of something.
free=$(df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')
if [ -w /dev/shm ] && [ "${free:-0}" -gt "$memory" ]; then backing=/dev/shm; else backing=$run; fi

TMPDIR=$backing timeout -k 5 "${SCTP_KERNEL_SECONDS:-600}" "$kernel" "mem=${memory}M" \
    root=/dev/root rootfstype=hostfs rootflags=/ rw uml_dir="$run" umid=kernel \
    con=null con0=null,fd:1 ssl=null quiet panic=-1 raid=noautodetect \
    "init=$python" -- -I -S "$here/sctp_kernel_init.py" "$run" </dev/null >"$run/boot" 2>&1 &
process=$!
trap 'kill "$process" 2>/dev/null' INT TERM HUP
tail -c +1 -s 0.05 --pid="$process" -f "$run/out" &
output=$!
tail -c +1 -s 0.05 --pid="$process" -f "$run/err" >&2 &
errors=$!
wait "$process"
ended=$?
wait "$output" "$errors"

code=$(cat "$run/code" 2>/dev/null)
if [ -z "$code" ]; then
    code=125
    if [ "$ended" = 124 ] || [ "$ended" = 137 ]; then code=124; fi
    tail -n 20 "$run/boot" >&2
    echo "with_sctp_kernel: the kernel ended (code $ended) before the command did" >&2
fi
rm -rf "$run"
exit "$code"
