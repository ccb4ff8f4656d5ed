# SPDX-License-Identifier: Apache-2.0

"""What the figures were taken on."""

import contextlib
import os
import platform
import subprocess
import time
from typing import Any


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = ''
    with contextlib.suppress(OSError):
        with open('/proc/cpuinfo') as f:
            model = next((line.split(':', 1)[1].strip() for line in f
                          if line.startswith('model name')), '')
    ceph = ''
    with contextlib.suppress(OSError):
        ceph = subprocess.run(['rbd', '--version'], capture_output=True,
                              text=True).stdout.strip()
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return {'cpu': model, 'cores': os.cpu_count(), 'memory': pages,
            'kernel': platform.release().partition('-')[0], 'ceph': ceph,
            'date': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}
