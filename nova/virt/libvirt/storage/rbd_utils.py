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
