# SPDX-License-Identifier: Apache-2.0

"""Rows of the boot matrix, which tools/boot_matrix.py makes a page of."""

import json
import os

#: Names the file that rows are appended to.
VARIABLE = 'NOVA_BOOT_MATRIX'

# The topics of the table, in its order.
BOOT = 'Boot from the image cache'
CACHE = 'The image cache'
OPERATIONS = 'What is done with a server'
SOURCES = 'Without RBD'
HOSTILE = 'Hostile images'
DISKS = 'Disks in Ceph (images_type = rbd)'


def record(topic, what, evidence, seconds, mode):
    """Add a row.

    To be called when all that it says has been checked.

    :param topic: one of the constants above
    :param what: was done
    :param evidence: what was seen, a list of sentences; the same ones in both
        modes
    :param seconds: how long the test took
    :param mode: of Nova's services, "threading" or "eventlet"
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return
    row = {'topic': topic, 'what': what, 'evidence': list(evidence),
           'mode': mode, 'seconds': round(seconds, 1)}
    with open(path, 'a', encoding='utf-8') as f:
        f.write(json.dumps(row) + '\n')
