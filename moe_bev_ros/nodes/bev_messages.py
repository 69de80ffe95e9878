"""The messages of bev_node beside its objects."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from nav_msgs.msg import MapMetaData, OccupancyGrid

from moe_bev_ros.core.frame import Frame
from moe_bev_ros.engine.base import EngineOutput, Segmentation
from moe_bev_ros.msg import EngineStatus
from moe_bev_ros.nodes.convert import BASE_LINK, header, time_to_msg


def status_to_msg(frame: Frame, output: EngineOutput, engine: str, num_dropped: int) -> EngineStatus:
    """What an engine says of itself.

    Args:
        num_dropped: frames dropped by policy until now.
    """
    return EngineStatus(
        header=header(frame.stamp_ns, BASE_LINK),
        engine=engine,
        stages=list(output.stage_ms),
        stage_ms=list(output.stage_ms.values()),
        experts=list(output.experts),
        num_points=0 if frame.lidar is None else len(frame.lidar.points_n5),
        num_images=0 if frame.cameras is None else int(frame.cameras.valid_n.sum()),
        memory_bytes=output.memory_bytes,
        dropped_by_policy=num_dropped,
        sparsity_names=list(output.sparsity),
        sparsity=list(output.sparsity.values()),
        warnings=list(output.warnings),
    )


def map_to_msg(segmentation: Segmentation, stamp_ns: int) -> OccupancyGrid:
    """The occupancy as a map in base_link."""
    height, width = segmentation.occupancy_hw.shape
    x, y = segmentation.origin_xy_m
    cells = array.array('b')
    cells.frombytes(np.ascontiguousarray(segmentation.occupancy_hw).data)
    info = MapMetaData(
        map_load_time=time_to_msg(stamp_ns),
        resolution=segmentation.resolution_m,
        width=width,
        height=height,
        origin=Pose(position=Point(x=x, y=y, z=0.0), orientation=Quaternion(w=1.0)),
    )
    return OccupancyGrid(header=header(stamp_ns, BASE_LINK), info=info, data=cells)
