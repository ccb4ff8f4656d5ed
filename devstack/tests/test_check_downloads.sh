#!/bin/bash
#
# Runs the playbook that follows each job, with Ansible, on logs of real
# downloads in logs/: it has to fail where the job would have proved nothing.
#
#   devstack/tests/test_check_downloads.sh
#
# Only systemctl and journalctl are replaced, and nobody becomes root.

set -o errexit
set -o nounset

HERE=$(readlink -f "$(dirname "$0")")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
FAILED=0

mkdir "$WORK/bin"
printf '#!/bin/sh\nexit ${NO_COMPUTE:-0}\n' >"$WORK/bin/systemctl"
printf '#!/bin/sh\ncat "$REAL_LOG" 2>/dev/null ||:\n' >"$WORK/bin/journalctl"
chmod +x "$WORK"/bin/*

# expect good|bad LOG VARIABLE=VALUE...
function expect {
    local wanted=$1 log=$2 result=good variable
    local -a variables=()
    shift 2
    for variable in "$@"; do
        variables+=(--extra-vars "$variable")
    done
    REAL_LOG=$HERE/logs/$log.log PATH=$WORK/bin:$PATH ansible-playbook \
        --inventory localhost, --connection local \
        --extra-vars "zuul_success=true ansible_become=false" \
        --extra-vars "ansible_user_dir=$WORK" \
        --extra-vars "ansible_python_interpreter=$(command -v python3)" \
        "${variables[@]}" "$HERE/../../playbooks/check-downloads.yaml" \
        >"$WORK/output" 2>&1 || result=bad
    # Bad is what the check says of the log, and no other failure.
    if [[ $result == bad ]] && ! grep -q "Check the log" "$WORK/output"; then
        result="an error of the playbook"
    fi
    if [[ $result == "$wanted" ]]; then
        echo "ok      $log $*: $wanted"
    else
        echo "FAILED  $log $*: $result"
        cat "$WORK/output"
        FAILED=1
    fi
}

OFF="rbd_download_expect=http rbd_download_minimum=0"

expect good rbd
expect good rbd rbd_download_minimum=1
expect bad rbd rbd_download_minimum=2
expect bad fallback rbd_download_minimum=0
expect good fallback rbd_download_minimum=0 \
    '{"rbd_download_allowed_fallbacks": ["its pool is not in"]}'
expect bad gates-off
expect good gates-off "$OFF"
expect bad rbd "$OFF"
expect bad fallback "$OFF"
# A log of something else, or none.
expect bad nothing "$OFF"
# Nodes without nova-compute, and jobs that have failed already.
NO_COMPUTE=1 expect good gates-off
expect good gates-off zuul_success=false

exit $FAILED
