#!/bin/bash
#
# Runs the playbook that follows each job, with Ansible, on logs of real
# downloads in logs/: it has to fail where the job would have proved nothing.
#
#   devstack/tests/test_check_downloads.sh [LOG...]
#
# Each case is a node of its own, with a journal that holds one log for each
# start of nova-compute: a journal of systemd if systemd-journal-remote is
# installed to write it, or else files. Only systemctl and journalctl are
# replaced, and nobody becomes root. With LOGs, of one nova-compute each, the
# nodes are theirs, and each has to have read images from RBD.

set -o errexit
set -o nounset

HERE=$(readlink -f "$(dirname "$0")")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
JOURNAL_REMOTE=${JOURNAL_REMOTE:-/lib/systemd/systemd-journal-remote}
export REAL_JOURNALCTL=
if [[ -x $JOURNAL_REMOTE ]]; then
    REAL_JOURNALCTL=$(command -v journalctl || :)
fi

mkdir "$WORK/bin"
cat >"$WORK/bin/systemctl" <<'EOF'
#!/bin/bash
[[ "$1 ${!#}" == "cat devstack@n-cpu" ]] && exec test ! -e "$NODE/no-compute"
[[ "$*" == "show --value --property InvocationID devstack@n-cpu" ]] || exit 1
cat "$NODE/running"
EOF
cat >"$WORK/bin/journalctl" <<'EOF'
#!/bin/bash
if [[ -n $REAL_JOURNALCTL ]]; then
    exec "$REAL_JOURNALCTL" --directory "$NODE" "$@"
fi
for argument in "$@"; do
    case $argument in
        _SYSTEMD_INVOCATION_ID=*) exec cat "$NODE/${argument#*=}.log";;
    esac
done
cat "$NODE"/*.log
EOF
chmod +x "$WORK"/bin/*

# write_journal NODE LOG...: a log for each start, the last one runs
function write_journal {
    local node=$1 log invocation started=1790000000
    shift
    for log in "$@"; do
        started=$(( started + 100000 ))
        invocation=$(printf %032x $started)
        cp "$log" "$node/$invocation.log"
        awk -v t=$started -v invocation="$invocation" '{
            printf "__REALTIME_TIMESTAMP=%d000000\n", t + NR
            printf "__MONOTONIC_TIMESTAMP=%d000000\n", t + NR - 1780000000
            printf "_BOOT_ID=%032x\n_HOSTNAME=node\n_PID=5727\n", 1
            printf "_SYSTEMD_UNIT=devstack@n-cpu.service\n"
            printf "_SYSTEMD_INVOCATION_ID=%s\n", invocation
            printf "SYSLOG_IDENTIFIER=nova-compute\nMESSAGE=%s\n\n", $0
        }' "$log" >>"$node/entries"
        echo "$invocation" >"$node/running"
    done
    if [[ -n $REAL_JOURNALCTL ]]; then
        "$JOURNAL_REMOTE" --output "$node/remote.journal" "$node/entries" \
            2>/dev/null
    fi
}

declare -a WANTED=() WHAT=()

# expect good|bad LOG[,LOG]... VARIABLE=VALUE...
function expect {
    local node=node${#WANTED[@]} log
    local -a files=()
    WANTED+=("$1")
    WHAT+=("${*:2}")
    mkdir "$WORK/$node"
    if [[ -n ${NO_COMPUTE:-} ]]; then
        touch "$WORK/$node/no-compute"
    fi
    for log in ${2//,/ }; do
        [[ -e $log ]] || log=$HERE/logs/$log.log
        files+=("$log")
    done
    write_journal "$WORK/$node" "${files[@]}"
    # What Ansible starts on the node finds the node's journal.
    printf '#!/bin/sh\nNODE=%s exec %s "$@"\n' "$WORK/$node" \
        "$(command -v python3)" >"$WORK/$node/python3"
    chmod +x "$WORK/$node/python3"
    echo "$node ansible_user_dir=$WORK/$node" \
        "ansible_python_interpreter=$WORK/$node/python3" "${@:3}" \
        >>"$WORK/inventory"
}

# Run the playbook and print what came of each node; false if not as wanted.
function run {
    local node number result failed_in failed=0
    PATH=$WORK/bin:$PATH ANSIBLE_GATHERING=explicit ANSIBLE_NOCOLOR=1 \
        ansible-playbook --inventory "$WORK/inventory" --connection local \
        --extra-vars "ansible_become=false ansible_pipelining=true" \
        "$HERE/../../playbooks/check-downloads.yaml" \
        >"$WORK/output" 2>&1 || :
    for number in "${!WANTED[@]}"; do
        node=node$number
        failed_in=$(awk -v node="[$node]:" '/^TASK /{task = $0}
            /^fatal: / && $2 == node {print task}' "$WORK/output")
        if [[ $failed_in == *"[Check the log]"* ]]; then
            # Bad is what the check says of the log, and no other failure.
            result=bad
        elif grep -q "^$node .* failed=0 " "$WORK/output"; then
            result=good
        else
            result="an error of the playbook: $failed_in"
        fi
        if [[ $result == "${WANTED[number]}" ]]; then
            echo "ok      ${WHAT[number]}: $result"
        else
            echo "FAILED  $node, ${WHAT[number]}: $result"
            failed=1
        fi
    done
    if [[ $failed == 1 ]]; then
        cat "$WORK/output"
    fi
    return $failed
}

if [[ $# -gt 0 ]]; then
    for log in "$@"; do
        expect good "$log" zuul_success=true
    done
    run
    exit
fi

ON="zuul_success=true"
OFF="zuul_success=true rbd_download_expect=http rbd_download_minimum=0"

expect good rbd "$ON"
expect good rbd "$ON" rbd_download_minimum=1
expect bad rbd "$ON" rbd_download_minimum=2
expect bad rbd "$ON" rbd_download_boots=2
expect bad fallback "$ON" rbd_download_minimum=0
expect good fallback "$ON" rbd_download_minimum=0 \
    "rbd_download_allowed_fallbacks='[\"its pool is not in\"]'"
expect bad gates-off "$ON"
expect good gates-off "$OFF"
expect bad rbd "$OFF"
expect bad fallback "$OFF"
# Nothing was booted, so nothing was shown.
expect bad no-boot "$OFF"
# A log of something else, or none.
touch "$WORK/nothing"
expect bad "$WORK/nothing" "$OFF"
# What an earlier nova-compute did does not count, for good or bad.
expect bad rbd,no-boot "$ON"
expect bad gates-off,no-boot "$OFF"
expect good rbd,gates-off "$OFF"
expect good fallback,rbd "$ON"
# Nodes without nova-compute, and jobs that have failed already.
NO_COMPUTE=1 expect good gates-off "$ON"
expect good gates-off zuul_success=false

run
