# SPDX-License-Identifier: Apache-2.0

"""The playground under its old name, which programs elsewhere import.

Nothing here does: it stands below the packages, and imports one of them by its
name so that the rule of their order holds for all that is ours.
"""

import importlib

Playground = importlib.import_module('demo.playground').Playground
