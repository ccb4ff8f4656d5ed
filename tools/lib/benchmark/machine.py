#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

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
