"""Frames that tell a quantised network its ranges: some of each condition that a tree has, in short stretches.

Ranges that were never seen in the dark are wrong in the dark, so the set takes from all conditions alike, and says which it
lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.learning.batches import Batch, to_batch
from moe_bev_ros.learning.drives import DriveFrame
from moe_bev_ros.learning.dropped_sensors import POOR_CONDITIONS
from moe_bev_ros.learning.streams import Streams
from moe_bev_ros.learning.tree_drives import SceneRecord, drive_of, record_of
from moe_bev_ros.model.config import ModelConfig

MIN_FRAMES = 16
STRETCH = 4  # frames of a scene, one after another: the second and later ones have a memory
GAP_TICKS = 3


@dataclass(frozen=True)
class CalibrationSet:
    """Stretches of scenes.

    Attributes:
        scenes: names, in an order that takes one of each condition before it takes a second.
        conditions: of each.
        num_frames: of all.
    """

    tree: NuscenesTree
    scenes: tuple[str, ...]
    conditions: tuple[str, ...]
    num_frames: int
    seed: int = 0

    @property
    def found(self) -> dict[str, int]:
        """Frames of each condition."""
        counts: Counter[str] = Counter()
        for frame in range(self.num_frames):
            counts[self.conditions[(frame // STRETCH) % len(self.scenes)] or 'not told'] += 1
        return dict(sorted(counts.items()))

    @property
    def missing(self) -> tuple[str, ...]:
        """Conditions in which one sees badly, and of which there is no frame."""
        return tuple(part for part in POOR_CONDITIONS if not any(part in name for name in self.found))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with it, though it can be used."""
        if not self.missing:
            return ()
        found = ', '.join(f'{name} ({count})' for name, count in self.found.items())
        return (f'calibration frames of {found}; none in {", ".join(self.missing)}: ranges may be too small there',)


def calibration_set(tree: NuscenesTree, split: str, num_frames: int, seed: int = 0) -> CalibrationSet:
    """Choose scenes of a split.

    Raises:
        InputError: too few frames are asked for, or the split has too few.
    """
    if num_frames < MIN_FRAMES:
        raise InputError(
            f'{num_frames} calibration frame{"s" * (num_frames > 1)}: ranges would be those of what happens to be in view; '
            f'give {MIN_FRAMES} or more, better 128'
        )
    names = tree.scenes(split)
    rng = np.random.default_rng(seed)
    of_condition: dict[str, list[str]] = {}
    for name in rng.permutation(np.array(names, dtype=object)):
        of_condition.setdefault(str(tree.world(name).get('condition', '')), []).append(str(name))
    groups = [of_condition[condition] for condition in sorted(of_condition)]
    order = [group[place] for place in range(max(map(len, groups), default=0)) for group in groups if place < len(group)]
    wanted = order[: -(-num_frames // STRETCH)]
    if len(wanted) * STRETCH < MIN_FRAMES:
        raise InputError(
            f'{tree.root}: split {split!r} has {len(wanted)} scenes, and {STRETCH} frames of each are used; '
            f'give one with {MIN_FRAMES // STRETCH} scenes or more'
        )
    conditions = tuple(str(tree.world(name).get('condition', '')) for name in wanted)
    return CalibrationSet(tree, tuple(wanted), conditions, min(num_frames, STRETCH * len(wanted)), seed)


class CalibrationFrames:
    """The frames of a set, as a network of this config reads them; can be gone through again and again."""

    def __init__(self, frames: CalibrationSet, config: ModelConfig) -> None:
        self._set, self._config = frames, config
        self._source = _Stretches(frames, (config.image_width, config.image_height))

    def __len__(self) -> int:
        return self._set.num_frames

    def __iter__(self) -> Iterator[Batch]:
        """One frame after another, a batch of one each.

        Raises:
            InputError: a file of the tree cannot be read.
        """
        streams = Streams(self._source, self._config, 1, 1, self._set.seed, 0)
        for _ in range(len(self)):
            yield to_batch(next(streams)[0], torch.device('cpu'))


class _Stretches:
    """A short stretch of each scene, as recorded."""

    def __init__(self, frames: CalibrationSet, image_size: tuple[int, int]) -> None:
        self._set, self._image_size = frames, image_size
        self._record = lru_cache(maxsize=None)(lambda scene: record_of(frames.tree, scene))

    @property
    def num_drives(self) -> int:
        """One a scene."""
        return len(self._set.scenes)

    def drive(self, index: int, seed: tuple[int, ...]) -> _Stretch:
        """The stretch of one scene; another seed changes nothing."""
        record = self._record(self._set.scenes[index])
        latest = max(1, len(record.ticks) - STRETCH * GAP_TICKS)
        start = int(np.random.default_rng((self._set.seed, index)).integers(latest))
        return _Stretch(record, self._image_size, start)


@dataclass(frozen=True)
class _Stretch:
    record: SceneRecord
    image_size: tuple[int, int]
    start: int

    def frames(self) -> Iterator[DriveFrame]:
        yield from drive_of(self.record, self.image_size, (self.start, *(GAP_TICKS,) * (STRETCH - 1)))
