"""A tree of fixed transforms, as /tf_static announces them. (tf2 itself is C++ and not on PyPI.)"""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array, inverse


class TransformTree:
    """Holds ``parent_SE3_child`` for every child frame."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, Array]] = {}

    def add(self, parent: str, child: str, parent_se3_child: Array) -> None:
        """Set or replace the transform of ``child``.

        Raises:
            InputError: ``child`` would become its own ancestor.
        """
        parent, child = parent.lstrip('/'), child.lstrip('/')
        ancestor: str | None = parent
        while ancestor is not None:
            if ancestor == child:
                raise InputError(f'tf: {child} cannot be a child of {parent}, which hangs below it')
            ancestor = self._parents[ancestor][0] if ancestor in self._parents else None
        self._parents[child] = (parent, parent_se3_child)

    def lookup(self, target: str, source: str) -> Array:
        """Return ``target_SE3_source``.

        Raises:
            InputError: the two frames are not connected.
        """
        target, source = target.lstrip('/'), source.lstrip('/')
        root_of_target, root_se3_target = self._to_root(target)
        root_of_source, root_se3_source = self._to_root(source)
        if root_of_target != root_of_source:
            known = ', '.join(sorted(self._parents)) or 'none'
            raise InputError(f'no static transform from {source} to {target}; publish it on /tf_static (known: {known})')
        return inverse(root_se3_target) @ root_se3_source

    def _to_root(self, frame: str) -> tuple[str, Array]:
        root_se3_frame = np.eye(4)
        while frame in self._parents:
            frame, parent_se3_child = self._parents[frame]
            root_se3_frame = parent_se3_child @ root_se3_frame
        return frame, root_se3_frame
