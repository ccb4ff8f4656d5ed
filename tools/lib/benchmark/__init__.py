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

"""Compare ways from an RBD snapshot to a local file.

Started by tools/benchmark. The methods are run in turn, A B C A B C and so
on, so that a machine whose speed drifts is no advantage to any of them. Each
run is a process of its own, whose time and memory the kernel tells. A first
round is not counted. After each run its file is removed and everything dirty
is written out, so that no method pays for another.
"""
