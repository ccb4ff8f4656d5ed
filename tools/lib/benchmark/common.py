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

"""What the parts of the benchmark share."""

import os

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

#: The directory that has tools/.
CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))


class BenchmarkError(Exception):
    """It cannot go on; the text says why."""


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)
