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

import os
import sys

if not __package__:
    # Run by path. The directory above is needed to import this package, but
    # only while that happens: what else lies there must never hide a module
    # of the standard library.
    _above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, _above)
    from rbd_export import cli
    sys.path.remove(_above)
else:
    from nova.storage.rbd_export import cli

if __name__ == '__main__':
    cli.main()
