# SPDX-License-Identifier: Apache-2.0

"""Virtual environments, and what is installed into them."""
