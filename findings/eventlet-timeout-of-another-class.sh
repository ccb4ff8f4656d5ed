#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Under eventlet's monkey patching "except subprocess.TimeoutExpired" does not
# catch what Popen.wait(timeout) raises.
#
# Version: eventlet 0.40.4 with greenlet 3.5.6 and dnspython 2.9.2, as with
# Nova 33 and older; 0.41.3 behaves as expected.
# Behaviour: in a process that is patched before it imports subprocess, as
# nova-compute is, Popen.wait raises a TimeoutExpired of eventlet's own copy
# of the module. It is neither subprocess.TimeoutExpired nor derived from it.
# Seen: see "expect" below.

set -euo pipefail
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
python3 -m venv "$top/venv"
"$top/venv/bin/pip" -q install greenlet==3.5.6 dnspython==2.9.2 \
    eventlet==0.40.4 >"$top/log" 2>&1 || { tail -n 3 "$top/log" >&2; exit 2; }
seen=$("$top/venv/bin/python" -W ignore -c '
import eventlet
eventlet.monkey_patch()
import subprocess
child = subprocess.Popen(["sleep", "60"])
try:
    child.wait(timeout=0.1)
except Exception as exc:
    print(type(exc).__name__, isinstance(exc, subprocess.TimeoutExpired))
child.kill()
child.wait()
')
printf '%s\n' "$seen"
[ "$seen" = 'TimeoutExpired False' ]
