"""A straight road of two opposite lanes with a crossing lane, and runs on it, made by hand."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.evaluation.driving.scores import SAMPLE_S, DriveLog, Others
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph
from moe_bev_ros.planning.reference_line import smooth_line
from moe_bev_ros.world.network import Area, RoadNetwork, Surface

LENGTH_M, HALF_M, LIMIT_MPS = 200.0, 1.75, 10.0


def _lane(lane_id, start_2, end_2, **more):
    start, end = np.array([*start_2, 0.0]), np.array([*end_2, 0.0])
    return Lane(lane_id, np.linspace(start, end, 50), LIMIT_MPS, **more)


def _borders(lane):
    centre_m2 = lane.centre_m3[:, :2]
    along_2 = (centre_m2[-1] - centre_m2[0]) / np.hypot(*(centre_m2[-1] - centre_m2[0]))
    left_2 = HALF_M * np.array([-along_2[1], along_2[0]])
    return centre_m2 + left_2, centre_m2 - left_2


def road():
    """Lane 1 to x = 100, lane 2 on from there, lane 3 comes back at y = 3.5, lane 4 crosses at x = 60."""
    lanes = (
        _lane(1, (0.0, 0.0), (100.0, 0.0), successors=(2,)),
        _lane(2, (100.0, 0.0), (LENGTH_M, 0.0)),
        _lane(3, (LENGTH_M, 3.5), (0.0, 3.5)),
        _lane(4, (60.0, -40.0), (60.0, 40.0)),
    )
    asphalt = np.array([(0.0, -HALF_M), (LENGTH_M, -HALF_M), (LENGTH_M, 5.25), (0.0, 5.25)])
    island = np.array([(150.0, 19.0), (152.0, 19.0), (152.0, 21.0), (150.0, 21.0)])
    areas = (
        Area(Surface.GRASS, asphalt * (1.0, 20.0)),
        Area(Surface.ASPHALT, asphalt),
        Area(Surface.ASPHALT, island),
        Area(Surface.GRASS, 0.5 * (island - island.mean(axis=0)) + island.mean(axis=0)),
    )
    return RoadNetwork(LaneGraph({lane.lane_id: lane for lane in lanes}), {i.lane_id: _borders(i) for i in lanes}, areas, ())


def route():
    return smooth_line(np.array([(0.0, 0.0), (LENGTH_M, 0.0)]), np.full(2, LIMIT_MPS))


def drive_log(speeds_t, others=(), *, x=20.0, y=0.0, yaw=0.0):
    """The ego drives straight on from a place.

    Args:
        others: (label, x, y, yaw, speed, length, width) of each at the beginning; they keep their velocity.
    """
    speeds_t = np.asarray(speeds_t, float)
    way_t = np.concatenate([[0.0], np.cumsum(SAMPLE_S * 0.5 * (speeds_t[1:] + speeds_t[:-1]))])
    poses_t3 = np.column_stack([x + way_t * np.cos(yaw), y + way_t * np.sin(yaw), np.full(len(way_t), yaw)])
    samples = tuple(_others(others, SAMPLE_S * k) for k in range(len(speeds_t)))
    return DriveLog(poses_t3, speeds_t, np.gradient(speeds_t, SAMPLE_S), samples, (4.6, 1.9), 1.4)


def _others(rows, time_s):
    footprints = [
        (x + v * time_s * np.cos(yaw), y + v * time_s * np.sin(yaw), length, width, yaw)
        for _, x, y, yaw, v, length, width in rows
    ]
    velocities = [(v * np.cos(yaw), v * np.sin(yaw)) for _, _, _, yaw, v, _, _ in rows]
    return Others(
        np.arange(1, len(rows) + 1),
        np.array([row[0] for row in rows], np.uint8),
        np.array(footprints, float).reshape(-1, 5),
        np.array(velocities, float).reshape(-1, 2),
    )


def car(x, y=0.0, yaw=0.0, speed=0.0):
    return (Label.CAR, x, y, yaw, speed, 4.5, 1.8)


def cone(x, y=0.0):
    return (Label.TRAFFIC_CONE, x, y, 0.0, 0.0, 0.4, 0.4)
