"""Recorded drives: where every road user was, ten times a second, and the lanes that they drove on.

A file is an ``.npz`` of one scene. Its entry ``meta`` is JSON with ``scene``, ``stamps_s``, ``ego_id``, and ``tracks`` and
``map``, which give each name an ``index`` and a ``type``. Track i has arrays ``t<i>_position`` (T, 3), ``_heading`` (T,),
``_velocity`` (T, 2), ``_valid`` (T,), ``_length``, ``_width``, ``_height`` (T, 1); map feature i has ``m<i>_polyline`` (K, 2 or
more), and lanes may have ``m<i>_polygon`` (N, 2). Rings of drivable ground are named ``boundary_...``; those that run clockwise
enclose it, the others are holes in it. Map's origin is moved to where the ego begins, because recorded coordinates are large.

Lanes come without successors and neighbours: a lane follows another where it begins at its end in its direction, and lies
beside another where both run side by side with no solid line between them.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph, resample
from moe_bev_ros.world.lane_surfaces import PAVEMENT_M, Borders, surfaces_of, walkways_of
from moe_bev_ros.world.layout_curves import beside_line
from moe_bev_ros.world.network import Area, LineKind, PaintLine, RoadNetwork, Surface

MARGIN_M = 120.0  # of map around the ego's way
SPEED_LIMIT_MPS = 50.0 / 3.6  # the recordings name none
HALF_WIDTH_M, MIN_HALF_WIDTH_M, MAX_HALF_WIDTH_M = 1.75, 1.3, 2.6
JOIN_M, JOIN_RAD = 1.0, 0.6
BESIDE_M, BESIDE_RAD = 1.0, 0.35
CHANGE_LENGTH_M = 15.0  # shorter lanes are not changed between
ISLAND_M2 = 400.0
LABELS = {'PEDESTRIAN': Label.PEDESTRIAN, 'TRAFFIC_CONE': Label.TRAFFIC_CONE, 'TRAFFIC_BARRIER': Label.BARRIER}


@dataclass(frozen=True)
class RecordedTrack:
    """One road user.

    Attributes:
        size_3: length, width, height [m].
        poses_t3: x, y, yaw of its centre in map; NaN where it was not seen.
        speeds_t: along its heading [m/s], never negative.
        valid_t: whether it was seen.
    """

    name: str
    label: Label
    size_3: tuple[float, float, float]
    poses_t3: Array
    speeds_t: Array
    valid_t: NDArray[np.bool_]


@dataclass(frozen=True)
class RecordedTracks:
    """One scene.

    Attributes:
        stamps_s_t: (T,) from 0, rising.
        tracks: everybody but the ego.
        ego_poses_t3: x, y, yaw of base_link in map.
        origin_xy_m: place of map's origin in the recording.
    """

    name: str
    stamps_s_t: Array
    tracks: tuple[RecordedTrack, ...]
    ego_poses_t3: Array
    network: RoadNetwork
    origin_xy_m: tuple[float, float]

    @property
    def duration_s(self) -> float:
        """From the first stamp to the last."""
        return float(self.stamps_s_t[-1])


def recording_seed(path: Path) -> int:
    """A seed for what a recording leaves open (bodies, light, weather): always the same for a file name, below a million."""
    return zlib.crc32(path.stem.encode()) % 1_000_000


def read_tracks(path: Path) -> RecordedTracks:
    """Read a scene.

    Raises:
        InputError: the file is missing, is not a scene, or holds no lane near the ego.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such file; give the .npz file of a recorded scene')
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        return _scene(arrays, json.loads(str(arrays['meta'])), path)
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OSError, EOFError, zipfile.BadZipFile) as err:
        raise InputError(f'{path}: not a recorded scene ({type(err).__name__}: {err}); copy the file again') from err


def _scene(arrays: Mapping[str, Any], meta: Mapping[str, Any], path: Path) -> RecordedTracks:
    stamps = np.array(meta['stamps_s'], float)
    ego = _track('ego', arrays, meta['tracks'][meta['ego_id']], np.zeros(2))
    if len(ego.poses_t3) != len(stamps) or not ego.valid_t.all() or not (np.diff(stamps) > 0.0).all():
        raise ValueError('the ego needs a pose at every stamp, and stamps must rise')
    origin = np.floor(ego.poses_t3[0, :2])
    others = [_track(name, arrays, entry, origin) for name, entry in sorted(meta['tracks'].items()) if name != meta['ego_id']]
    if any(len(track.valid_t) != len(stamps) for track in others):
        raise ValueError('all tracks need one pose for each stamp')
    ego_poses = ego.poses_t3 - [*origin, 0.0]
    low, high = ego_poses[:, :2].min(axis=0) - MARGIN_M, ego_poses[:, :2].max(axis=0) + MARGIN_M
    network = _network(_features(arrays, meta['map'], origin, low, high), low, high)
    if not network.graph.lanes:
        raise InputError(f'{path}: holds no lane within {MARGIN_M:.0f} m of the ego; record the scene with its map')
    seen = tuple(track for track in others if track.valid_t.any())
    return RecordedTracks(str(meta['scene']), stamps, seen, ego_poses, network, (float(origin[0]), float(origin[1])))


def _track(name: str, arrays: Mapping[str, Any], entry: Mapping[str, Any], origin_2: Array) -> RecordedTrack:
    index = entry['index']
    valid = np.asarray(arrays[f't{index}_valid'] > 0.5)
    poses = np.column_stack([arrays[f't{index}_position'][:, :2] - origin_2, arrays[f't{index}_heading']]).astype(float)
    poses[~valid] = np.nan
    velocity = np.asarray(arrays[f't{index}_velocity'], float)
    speeds = np.maximum(0.0, velocity[:, 0] * np.cos(poses[:, 2]) + velocity[:, 1] * np.sin(poses[:, 2]))
    sizes = [arrays[f't{index}_{part}'][valid] for part in ('length', 'width', 'height')]
    length, width, height = (float(np.median(size)) if len(size) else 1.0 for size in sizes)
    if not np.isfinite(poses[valid]).all() or min(length, width, height) <= 0.0:
        raise ValueError(f'track {name} holds a pose that is not finite, or a size of 0')
    size = (length, width, height)
    return RecordedTrack(name, _label(str(entry['type']), size), size, poses, np.where(valid, speeds, 0.0), valid)


def _label(kind: str, size_3: tuple[float, float, float]) -> Label:
    """Recordings name only vehicles and cyclists; their size tells the rest, by the sizes of nuScenes' classes."""
    length, width, height = size_3
    if kind == 'VEHICLE':
        if length > 9.0 and height > 2.8:
            return Label.BUS
        return Label.TRUCK if length > 6.0 or height > 2.4 else Label.CAR
    if kind == 'CYCLIST':
        return Label.MOTORCYCLE if width > 0.7 else Label.BICYCLE
    return LABELS.get(kind, Label.UNKNOWN)


@dataclass(frozen=True)
class _Feature:
    name: str
    kind: str
    points_k2: Array
    outline_n2: Array | None = None


def _features(
    arrays: Mapping[str, Any], entries: Mapping[str, Any], origin_2: Array, low_2: Array, high_2: Array
) -> list[_Feature]:
    """What lies at least in part inside the window."""
    result = []
    for name, entry in sorted(entries.items()):
        points = np.asarray(arrays[f'm{entry["index"]}_polyline'][:, :2], float) - origin_2
        outline = arrays.get(f'm{entry["index"]}_polygon')
        ring = name.startswith('boundary')
        if ring or _inside(points, low_2, high_2).any():
            outline = None if outline is None else np.asarray(outline, float) - origin_2
            result.append(_Feature(name, str(entry['type']), points, outline))
    return result


def _inside(points_n2: Array, low_2: Array, high_2: Array) -> NDArray[np.bool_]:
    return np.asarray(((points_n2 >= low_2) & (points_n2 <= high_2)).all(axis=1))


def _network(features: list[_Feature], low_2: Array, high_2: Array) -> RoadNetwork:
    lines, drivable = [], []
    for feature in features:
        if feature.name.startswith('boundary'):
            points = np.clip(feature.points_k2, low_2, high_2)
            if np.ptp(points, axis=0).min() > 0.0:
                drivable.append(resample(points, 1.0))
        elif feature.kind.startswith('ROAD_LINE'):
            kind = LineKind.DASHED if 'BROKEN' in feature.kind else LineKind.SOLID
            lines.append(PaintLine(kind, feature.points_k2))
    borders: Borders = {}
    lanes: dict[int, Lane] = {}
    for lane_id, feature in enumerate((f for f in features if f.kind.startswith('LANE')), start=1):
        centre = resample(feature.points_k2, 1.0)
        borders[lane_id] = _borders(centre, feature.outline_n2)
        lanes[lane_id] = Lane(lane_id, np.column_stack([centre, np.zeros(len(centre))]), SPEED_LIMIT_MPS)
    graph = LaneGraph(_with_neighbours(_with_successors(lanes), borders, lines))
    beds, asphalt = _split(surfaces_of(borders))
    ground = [area for ring in sorted(drivable, key=lambda ring: -abs(_signed_area(ring))) for area in _ring_areas(ring)]
    walkways = walkways_of(borders, graph) if lanes else ()
    return RoadNetwork(graph, borders, (*beds, *ground, *asphalt), tuple(lines), walkways=walkways)


def _ring_areas(ring_n2: Array) -> list[Area]:
    """Drivable ground with a pavement around it, or a hole in it: a small island, or a block with a pavement along its edge."""
    area = _signed_area(ring_n2)
    pavement = Area(Surface.PAVEMENT, np.concatenate([ring_n2, beside_line(ring_n2, np.full(len(ring_n2), PAVEMENT_M))[::-1]]))
    if area < 0.0:
        return [pavement, Area(Surface.ASPHALT, ring_n2)]
    return [Area(Surface.PAVEMENT, ring_n2)] if area < ISLAND_M2 else [Area(Surface.GRASS, ring_n2), pavement]


def _split(areas: tuple[Area, ...]) -> tuple[tuple[Area, ...], tuple[Area, ...]]:
    """What lies around lanes, and the lanes themselves."""
    return (
        tuple(area for area in areas if area.surface is not Surface.ASPHALT),
        tuple(area for area in areas if area.surface is Surface.ASPHALT),
    )


def _signed_area(ring_n2: Array) -> float:
    """Above 0: counter-clockwise."""
    x, y = ring_n2.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _borders(centre_k2: Array, outline_n2: Array | None) -> tuple[Array, Array]:
    """Where the normals of the centre line leave the outline; at a usual distance where there is none."""
    usual = np.full(len(centre_k2), HALF_WIDTH_M)
    widths = [usual, usual] if outline_n2 is None else [_reach(centre_k2, outline_n2, side) for side in (1.0, -1.0)]
    return beside_line(centre_k2, widths[0]), beside_line(centre_k2, -widths[1])


def _reach(centre_k2: Array, outline_n2: Array, side: float) -> Array:
    """(K,) distance from the centre line to the outline along its normals to one side, smoothed by a median."""
    normals = beside_line(centre_k2, np.full(len(centre_k2), side)) - centre_k2
    edges = np.roll(outline_n2, -1, axis=0) - outline_n2
    gaps = outline_n2[None] - centre_k2[:, None]
    determinant = normals[:, None, 0] * edges[None, :, 1] - normals[:, None, 1] * edges[None, :, 0]
    determinant = np.where(np.abs(determinant) < 1e-9, np.inf, determinant)
    along = (gaps[..., 0] * edges[None, :, 1] - gaps[..., 1] * edges[None, :, 0]) / determinant
    share = (gaps[..., 0] * normals[:, None, 1] - gaps[..., 1] * normals[:, None, 0]) / determinant
    hit = (along > 0.0) & (share >= 0.0) & (share <= 1.0)
    reach = np.where(hit, along, np.inf).min(axis=1)
    reach = np.where(np.isfinite(reach), reach, HALF_WIDTH_M)
    padded = np.pad(reach, 3, mode='edge')
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7), axis=1)
    return np.clip(smooth, MIN_HALF_WIDTH_M, MAX_HALF_WIDTH_M)


def _with_successors(lanes: dict[int, Lane]) -> dict[int, Lane]:
    starts = {lane_id: (lane.centre_m3[0, :2], _yaw(lane, 0)) for lane_id, lane in lanes.items()}
    result = {}
    for lane_id, lane in lanes.items():
        end, yaw = lane.centre_m3[-1, :2], _yaw(lane, -1)
        following = tuple(
            other
            for other, (start, start_yaw) in starts.items()
            if other != lane_id and np.hypot(*(start - end)) < JOIN_M and _turn(yaw, start_yaw) < JOIN_RAD
        )
        result[lane_id] = replace(lane, successors=following)
    return result


def _yaw(lane: Lane, index: int) -> float:
    """Heading at the begin (0) or the end (-1)."""
    first, last = (0, 1) if index == 0 else (-2, -1)
    step = lane.centre_m3[last] - lane.centre_m3[first]
    return float(np.arctan2(step[1], step[0]))


def _turn(one_rad: float, other_rad: float) -> float:
    return abs(float((other_rad - one_rad + np.pi) % (2 * np.pi) - np.pi))


def _with_neighbours(lanes: dict[int, Lane], borders: Borders, lines: list[PaintLine]) -> dict[int, Lane]:
    """Neighbours see each other: the middle of one's right border lies on the other's left border, and the other way round."""
    solid = [resample(line.points_n2, 0.5) for line in lines if line.kind is LineKind.SOLID]
    tree = cKDTree(np.concatenate(solid)) if solid else None
    result = dict(lanes)
    for lane_id, lane in lanes.items():
        right = borders[lane_id][1][len(borders[lane_id][1]) // 2]
        if lane.length_m < CHANGE_LENGTH_M or (tree is not None and tree.query(right)[0] < BESIDE_M):
            continue
        yaw = _yaw_at(lane, right)
        for other_id, other in lanes.items():
            if other_id == lane_id or other.length_m < CHANGE_LENGTH_M or _turn(yaw, _yaw_at(other, right)) > BESIDE_RAD:
                continue
            left = borders[other_id][0]
            if _gap(left, right) < BESIDE_M and _gap(borders[lane_id][1], left[len(left) // 2]) < BESIDE_M:
                result[lane_id] = replace(result[lane_id], right=other_id)
                result[other_id] = replace(result[other_id], left=lane_id)
                break
    return _mutual(result)


def _mutual(lanes: dict[int, Lane]) -> dict[int, Lane]:
    """Only neighbours that name each other."""
    return {
        lane_id: replace(
            lane,
            left=lane.left if lane.left is not None and lanes[lane.left].right == lane_id else None,
            right=lane.right if lane.right is not None and lanes[lane.right].left == lane_id else None,
        )
        for lane_id, lane in lanes.items()
    }


def _gap(points_k2: Array, xy_2: Array) -> float:
    return float(np.hypot(*(points_k2 - xy_2).T).min())


def _yaw_at(lane: Lane, xy_2: Array) -> float:
    """Heading of a lane beside a place."""
    nearest = min(int(np.argmin(np.hypot(*(lane.centre_m3[:, :2] - xy_2).T))), len(lane.centre_m3) - 2)
    step = lane.centre_m3[nearest + 1] - lane.centre_m3[nearest]
    return float(np.arctan2(step[1], step[0]))
