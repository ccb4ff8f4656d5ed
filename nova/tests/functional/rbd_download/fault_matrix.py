# SPDX-License-Identifier: Apache-2.0

"""What came of each fault, for the table in the guide.

Rows go to the file that the environment names, one JSON object a line, and
nowhere if it names none. ``tools/fault_matrix.py`` makes the page of them.
"""

import json
import os

from nova import utils

#: Names the file that rows are appended to.
VARIABLE = 'NOVA_FAULT_MATRIX'

# The topics of the table, in its order.
CLUSTER = 'The cluster'
NETWORK = 'The network'
PROCESSES = 'The processes'
DISK = 'The local disk'
INTEGRITY = 'The bytes'
CRASHES = 'Crashes and the shared cache'


def record(topic, cause, produced, happened, seconds, files):
    """Add a row.

    To be called when all that it says has been checked.

    :param topic: one of the constants above
    :param cause: the fault
    :param produced: how the test made it
    :param happened: what the download did
    :param seconds: from the fault, or the start of the download if that was
        later, to the end
    :param files: what was at the target then, "right bytes" or "nothing"
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return
    row = {'topic': topic, 'cause': cause, 'produced': produced,
           'happened': happened, 'seconds': round(seconds, 1),
           'files': files,
           'mode': ('threading' if utils.concurrency_mode_threading()
                    else 'eventlet')}
    # One write in append mode, so that two processes may share the file.
    with open(path, 'a') as f:
        f.write(json.dumps(row) + '\n')
