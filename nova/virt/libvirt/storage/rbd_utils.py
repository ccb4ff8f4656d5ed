# SPDX-License-Identifier: Apache-2.0

"""The old name of :mod:`nova.storage.rbd_utils`, deprecated."""

import sys
import warnings

from nova.storage import rbd_utils

warnings.warn('nova.virt.libvirt.storage.rbd_utils is deprecated, import '
              'nova.storage.rbd_utils instead.', DeprecationWarning,
              stacklevel=2)

# The same module under both names, so that what is replaced in one, as the
# bindings are in tests, is replaced in the other.
sys.modules[__name__] = rbd_utils
