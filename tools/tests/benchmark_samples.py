# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""Made up figures of the benchmark, and the way to its modules."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'lib'))

MIB = 1 << 20


def sample(wall, cpu=1.0, read=None, rss=50 * MIB, allocated=MIB):
    """What is kept of one run."""
    return {'wall': wall, 'cpu': cpu, 'rss': rss, 'allocated': allocated,
            'read': read}


def workload(samples, size=4 * MIB, count=1, data=MIB):
    """What is kept of one workload."""
    return {'size': size, 'count': count, 'data': data, 'text': 'an image',
            'samples': samples}


def result(**kinds):
    """What one call of the benchmark keeps."""
    return {'workloads': {}, 'runs': 3, 'command': 'tools/benchmark --x',
            'machine': {'cpu': 'a CPU', 'cores': 2, 'memory': 8 << 30,
                        'kernel': '6.1', 'ceph': 'ceph 16',
                        'date': '2026-01-02T03:04:05Z'}, **kinds}
