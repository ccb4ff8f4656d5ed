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

"""The test bed of the functional tests for programs that are no tests.

    import testbed
    from testbed import rbd_testbed

Nova's package of fixtures imports most of Nova and what Nova's tests need.
The modules of the test bed need none of it, so this module stands in for the
package.
"""

import pathlib

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

__path__ = [str(CHECKOUT / 'nova' / 'tests' / 'testbed')]
