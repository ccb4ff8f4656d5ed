# SPDX-License-Identifier: Apache-2.0

"""What hatchling calls to build our nova: see patchset/build.py."""

import pathlib
import sys
import typing as ty

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / 'lib'))

from patchset import build  # noqa: E402


class NovaMetadataHook(MetadataHookInterface):
    """Fills the [project] table."""

    def update(self, metadata: ty.Dict[str, ty.Any]) -> None:
        build.fill_project(pathlib.Path(self.root), metadata)


class NovaBuildHook(BuildHookInterface):
    """Gives hatchling the files."""

    def initialize(self, version: str,
                   build_data: ty.Dict[str, ty.Any]) -> None:
        build.give_files(pathlib.Path(self.root), version, build_data)
