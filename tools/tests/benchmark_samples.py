# SPDX-License-Identifier: Apache-2.0

"""Made up figures of the benchmark."""

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
