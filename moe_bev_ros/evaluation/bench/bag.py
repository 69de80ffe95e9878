"""The bags that drive the graph benchmark: a drive with six cameras and a LiDAR of some 35,000 points, 10 times a second."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.datasets.tree_to_bag import write_scene_bag
from moe_bev_ros.datasets.world_scene import SceneJob, write_scene
from moe_bev_ros.world.rig import Rig

SEED = 1_000_006  # of the validation split
NUM_AZIMUTHS = 1290  # of the LiDAR's 32 beams a turn: some 35,000 come back


@dataclass(frozen=True)
class BagKind:
    """What the cameras send.

    Attributes:
        size: width and height of the images [pixels].
        compressed: as JPEG.
        seconds: that the bag lasts; what is larger is shorter.
    """

    size: tuple[int, int]
    compressed: bool
    seconds: float

    @property
    def name(self) -> str:
        """Of a row, and of the bag."""
        return f'{self.size[0]}x{self.size[1]}{"_jpeg" if self.compressed else ""}'


KINDS = {
    kind.name: kind
    for kind in (BagKind((704, 256), False, 60.5), BagKind((1600, 900), False, 20.5), BagKind((1600, 900), True, 20.5))
}


def bag_of(kind: BagKind, folder: Path) -> Path:
    """The bag; it is made where it is not there yet, which takes a few times as long as it lasts.

    Raises:
        InputError: the disk is too small.
    """
    bag = folder / f'{kind.name}_{kind.seconds:g}s'
    if not bag.exists():
        root = folder / f'.{bag.name}.tree'
        shutil.rmtree(root, ignore_errors=True)
        try:
            job = _job(root, kind)
            write_scene(job)
            TreeWriter(root, job.settings).merge()
            write_scene_bag(open_tree(root, ''), job.name, bag, compressed=kind.compressed)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return bag


class _Job(SceneJob):
    @property
    def rig(self) -> Rig:
        """With a finer LiDAR."""
        rig = super().rig
        return replace(rig, lidar=replace(rig.lidar, num_azimuths=NUM_AZIMUTHS))


def _job(root: Path, kind: BagKind) -> SceneJob:
    settings = {'image_size': list(kind.size), 'seconds': kind.seconds, 'kind': 'benchmark', 'condition': 'day'}
    return _Job(root, 'val', SEED, '', 'day', kind.size, kind.seconds, settings)
