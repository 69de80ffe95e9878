"""One picture of one frame: six cameras above, the bird's-eye view below, and what the stack does about it at the right.

Drawn with OpenCV on an RGB canvas of CANVAS_WIDTH x CANVAS_HEIGHT pixels. In the bird's-eye view the vehicle drives to the
right: a street is wide, and so is a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.objects import Label, TrackedObject
from moe_bev_ros.core.se3 import inverse

CANVAS_WIDTH, CANVAS_HEIGHT = 1280, 720
GAP = 4
COLUMNS = ('CAM_FRONT_LEFT', 'CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_BACK_LEFT', 'CAM_BACK', 'CAM_BACK_RIGHT')
TILE_WIDTH, TILE_HEIGHT = 424, 154
VIEW_TOP = 2 * (TILE_HEIGHT + GAP)
VIEW_WIDTH, VIEW_HEIGHT = 1000, CANVAS_HEIGHT - VIEW_TOP
PIXELS_PER_M = 9.0
BEHIND_M = 28.0
EDGES = ((0, 1), (1, 3), (3, 2), (2, 0), (4, 5), (5, 7), (7, 6), (6, 4), (0, 4), (1, 5), (2, 6), (3, 7))

Colour = tuple[int, int, int]
Image = NDArray[np.uint8]
BACKGROUND: Colour = (16, 19, 25)
PANEL: Colour = (26, 30, 38)
FAINT: Colour = (58, 66, 80)
TEXT: Colour = (226, 230, 236)
DIM: Colour = (142, 150, 164)
GREEN: Colour = (72, 214, 128)
RED: Colour = (244, 84, 76)
BLUE: Colour = (88, 166, 255)
CLASS_COLOURS: dict[Label, Colour] = {
    Label.CAR: (255, 176, 46),
    Label.TRUCK: (255, 122, 80),
    Label.BUS: (255, 122, 80),
    Label.TRAILER: (255, 122, 80),
    Label.CONSTRUCTION_VEHICLE: (255, 122, 80),
    Label.PEDESTRIAN: (255, 92, 170),
    Label.MOTORCYCLE: (94, 220, 255),
    Label.BICYCLE: (94, 220, 255),
    Label.TRAFFIC_CONE: (250, 240, 90),
    Label.BARRIER: (180, 180, 190),
    Label.UNKNOWN: (96, 104, 118),
}


@dataclass(frozen=True)
class Snapshot:
    """What one picture shows; everything in base_link at the stamp, and everything but the speed may be missing.

    Attributes:
        cameras: None: black tiles.
        points_n5: (N, 5) sweep: x, y, z [m], intensity [0..1], time [s]; None: no LiDAR.
        path_t2: (T, 2) planned positions [m], T may be 0.
        truth_boxes_n7: (N, 7) boxes of the simulator, drawn as thin outlines.
        time_s: since the run began.
    """

    cameras: CameraImages | None
    points_n5: NDArray[np.float32] | None
    objects: Sequence[TrackedObject]
    path_t2: NDArray[np.floating[Any]] | None
    command: Command | None
    speed_mps: float = 0.0
    time_s: float = 0.0
    distance_m: float | None = None
    collisions: int | None = None
    latency_ms: float | None = None
    truth_boxes_n7: NDArray[np.float32] | None = None
    vehicle: Vehicle = field(default_factory=Vehicle)


def draw_frame(snapshot: Snapshot) -> Image:
    """(CANVAS_HEIGHT, CANVAS_WIDTH, 3) uint8 RGB."""
    canvas = np.empty((CANVAS_HEIGHT, CANVAS_WIDTH, 3), np.uint8)
    canvas[:] = BACKGROUND
    _draw_cameras(canvas, snapshot)
    canvas[VIEW_TOP:, :VIEW_WIDTH] = _draw_view(snapshot)
    _draw_panel(canvas, snapshot)
    return canvas


def strip(pictures: Sequence[Image], columns: int = 2) -> Image:
    """Pictures of one size side by side, row by row; missing ones at the end stay dark.

    Raises:
        ValueError: no picture.
    """
    if not pictures:
        raise ValueError('a strip needs at least one picture')
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    canvas = np.empty((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), np.uint8)
    canvas[:] = BACKGROUND
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + GAP), (index % columns) * (width + GAP)
        canvas[top : top + height, left : left + width] = picture
    return canvas


# Cameras ---------------------------------------------------------------------------------------------------------------


def _draw_cameras(canvas: Image, snapshot: Snapshot) -> None:
    """A grid of three columns, the usual six in their places, others after them in their order."""
    names = list(snapshot.cameras.names) if snapshot.cameras else []
    others = [name for name in names if name not in COLUMNS]
    for slot, usual in enumerate(COLUMNS):
        name = usual if usual in names else others.pop(0) if others else usual
        top, left = (slot // 3) * (TILE_HEIGHT + GAP), (slot % 3) * (TILE_WIDTH + GAP)
        tile = canvas[top : top + TILE_HEIGHT, left : left + TILE_WIDTH]
        tile[:] = PANEL
        seen = snapshot.cameras is not None and name in names and bool(snapshot.cameras.valid_n[names.index(name)])
        if seen and snapshot.cameras is not None:
            _draw_camera(tile, snapshot.cameras, names.index(name), snapshot.objects)
        else:
            _text(tile, 'no image', (TILE_WIDTH // 2 - 34, TILE_HEIGHT // 2 + 5), DIM, 0.5)
        label = name.removeprefix('CAM_').replace('_', ' ').lower()
        cv2.rectangle(tile, (0, 0), (10 + 8 * len(label), 18), BACKGROUND, -1)
        _text(tile, label, (5, 13), TEXT, 0.42)


def _draw_camera(tile: Image, cameras: CameraImages, index: int, objects: Sequence[TrackedObject]) -> None:
    image_hw3 = cameras.images_nhw3[index]
    height, width = image_hw3.shape[:2]
    scale = min(TILE_WIDTH / width, TILE_HEIGHT / height)
    size = (round(width * scale), round(height * scale))
    left, top = (TILE_WIDTH - size[0]) // 2, (TILE_HEIGHT - size[1]) // 2
    inner = tile[top : top + size[1], left : left + size[0]]
    inner[:] = cv2.resize(image_hw3, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    camera_se3_base_link = inverse(cameras.base_link_se3_camera_n44[index])
    k = cameras.intrinsics_n33[index].astype(float) * scale
    for item in objects:
        if item.label is Label.UNKNOWN:  # walls and hedges: their outlines would hide the street
            continue
        corners_83 = _corners(item.box_7) @ camera_se3_base_link[:3, :3].T + camera_se3_base_link[:3, 3]
        _draw_box_edges(inner, corners_83, k, CLASS_COLOURS[item.label])


def _corners(box_7: NDArray[np.float32]) -> NDArray[np.float64]:
    """(8, 3) corners of a box; bit 0 of the index is x, bit 1 y, bit 2 z."""
    x, y, z, length, width, height, yaw = (float(value) for value in box_7)
    signs = np.array([[1 if i & bit else -1 for bit in (1, 2, 4)] for i in range(8)], float)
    local = 0.5 * signs * (length, width, height)
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.column_stack(
        [x + cos * local[:, 0] - sin * local[:, 1], y + sin * local[:, 0] + cos * local[:, 1], z + local[:, 2]]
    )


def _draw_box_edges(image: Image, corners_83: NDArray[np.float64], k_33: NDArray[np.float64], colour: Colour) -> None:
    """Twelve edges, cut at half a metre before the camera."""
    near = 0.5
    if corners_83[:, 2].max() < near or corners_83[:, 2].min() > 60.0:
        return
    for i, j in EDGES:
        a, b = corners_83[i], corners_83[j]
        if a[2] < near and b[2] < near:
            continue
        if a[2] < near or b[2] < near:
            cut = a + (b - a) * (near - a[2]) / (b[2] - a[2])
            a, b = (cut, b) if a[2] < near else (a, cut)
        pixels = [k_33 @ (point / point[2]) for point in (a, b)]
        (u0, v0), (u1, v1) = ((float(np.clip(p[0], -4000, 4000)), float(np.clip(p[1], -4000, 4000))) for p in pixels)
        cv2.line(image, (round(u0), round(v0)), (round(u1), round(v1)), colour, 1, cv2.LINE_AA)


# Bird's-eye view --------------------------------------------------------------------------------------------------------


def _pixels(xy_n2: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, 2) base_link [m] to column and row of the view."""
    xy = np.asarray(xy_n2, float).reshape(-1, 2)
    return np.column_stack([(xy[:, 0] + BEHIND_M) * PIXELS_PER_M, VIEW_HEIGHT / 2 - xy[:, 1] * PIXELS_PER_M])


def _draw_view(snapshot: Snapshot) -> Image:
    view = np.empty((VIEW_HEIGHT, VIEW_WIDTH, 3), np.uint8)
    view[:] = PANEL
    _draw_rings(view)
    if snapshot.points_n5 is not None:
        _draw_points(view, snapshot.points_n5)
    else:
        _text(view, 'no LiDAR', (VIEW_WIDTH - 110, 26), RED, 0.55)
    if snapshot.truth_boxes_n7 is not None:
        for box_7 in snapshot.truth_boxes_n7:
            _outline(view, box_7, DIM, 1)
    if snapshot.path_t2 is not None and len(snapshot.path_t2) > 1:
        _draw_path(view, snapshot.path_t2, snapshot.vehicle)
    for item in snapshot.objects:
        _draw_object(view, item)
    _draw_ego(view, snapshot.vehicle)
    return view


def _draw_rings(view: Image) -> None:
    centre = _pixels(np.zeros((1, 2)))[0]
    for radius_m in range(20, 101, 20):
        place = (round(centre[0]), round(centre[1]))
        cv2.circle(view, place, round(radius_m * PIXELS_PER_M), FAINT, 1, cv2.LINE_AA)
        if radius_m <= 80:
            _text(view, f'{radius_m} m', (round(centre[0] + radius_m * PIXELS_PER_M) + 4, VIEW_HEIGHT - 8), DIM, 0.38)


def _draw_points(view: Image, points_n5: NDArray[np.float32]) -> None:
    """Ground dim and by intensity, what stands on it by height."""
    pixels = _pixels(points_n5[:, :2]).astype(np.int64)
    inside = (pixels[:, 0] >= 0) & (pixels[:, 0] < VIEW_WIDTH - 1) & (pixels[:, 1] >= 0) & (pixels[:, 1] < VIEW_HEIGHT - 1)
    pixels, points = pixels[inside], points_n5[inside]
    ground = points[:, 2] < 0.2
    level = (86.0 + 150.0 * np.clip(points[ground, 3] * 3.0, 0.0, 1.0)).astype(np.uint8)
    view[pixels[ground, 1], pixels[ground, 0]] = np.column_stack([level // 2 + 12, level // 2 + 22, level // 2 + 36])
    shade = (np.clip(points[~ground, 2] / 4.0, 0.0, 1.0) * 200 + 30).astype(np.uint8).reshape(-1, 1)
    colours = cv2.applyColorMap(shade, cv2.COLORMAP_VIRIDIS).reshape(-1, 3)[:, ::-1]
    for right in (0, 1):
        for down in (0, 1):
            view[pixels[~ground, 1] + down, pixels[~ground, 0] + right] = colours


def _draw_path(view: Image, path_t2: NDArray[np.floating[Any]], vehicle: Vehicle) -> None:
    """A translucent band as wide as the vehicle, with its centre line."""
    line = np.round(_pixels(path_t2)).astype(np.int32).reshape(-1, 1, 2)
    band = view.copy()
    cv2.polylines(band, [line], False, GREEN, max(1, round(vehicle.width_m * PIXELS_PER_M)), cv2.LINE_AA)
    cv2.addWeighted(band, 0.3, view, 0.7, 0.0, view)
    cv2.polylines(view, [line], False, GREEN, 2, cv2.LINE_AA)


def _outline(view: Image, box_7: NDArray[np.float32], colour: Colour, thickness: int) -> NDArray[np.int32]:
    corners = np.round(_pixels(_corners(box_7)[[0, 1, 3, 2], :2])).astype(np.int32)
    cv2.polylines(view, [corners.reshape(-1, 1, 2)], True, colour, thickness, cv2.LINE_AA)
    return corners


def _draw_object(view: Image, item: TrackedObject) -> None:
    """Box with its class and speed, and an arrow one second long; unknown clutter as a thin outline only."""
    colour = CLASS_COLOURS[item.label]
    if item.label is Label.UNKNOWN:
        _outline(view, item.box_7, colour, 1)
        return
    corners = _outline(view, item.box_7, colour, 2)
    speed = float(np.hypot(*item.velocity_2))
    if speed > 0.5:
        ends = np.round(_pixels(np.array([item.box_7[:2], item.box_7[:2] + item.velocity_2]))).astype(int)
        cv2.arrowedLine(view, tuple(ends[0].tolist()), tuple(ends[1].tolist()), colour, 2, cv2.LINE_AA, tipLength=0.25)
    text = item.label.name.replace('_', ' ').lower() + (f' {speed:.1f}' if speed > 0.5 else '')
    place = (int(corners[:, 0].min()), max(12, int(corners[:, 1].min()) - 4))
    if 0 <= place[0] < VIEW_WIDTH - 60 and place[1] < VIEW_HEIGHT:
        _text(view, text, place, colour, 0.38)


def _draw_ego(view: Image, vehicle: Vehicle) -> None:
    front, back, half = vehicle.front_m, -vehicle.rear_overhang_m, vehicle.width_m / 2
    hull = np.array(
        [[back, -half], [front - 0.7, -half], [front, -half * 0.6], [front, half * 0.6], [front - 0.7, half], [back, half]]
    )
    cv2.fillPoly(view, [np.round(_pixels(hull)).astype(np.int32)], BLUE, cv2.LINE_AA)
    glass = np.array([[1.2, -half * 0.7], [2.1, -half * 0.6], [2.1, half * 0.6], [1.2, half * 0.7]])
    cv2.fillPoly(view, [np.round(_pixels(glass)).astype(np.int32)], BACKGROUND, cv2.LINE_AA)


# Panel ------------------------------------------------------------------------------------------------------------------


def _draw_panel(canvas: Image, snapshot: Snapshot) -> None:
    left, top = VIEW_WIDTH + GAP, VIEW_TOP
    panel = canvas[top:, left:]
    panel[:] = PANEL
    _text(panel, f'{snapshot.speed_mps:.1f}', (16, 62), TEXT, 1.7, 3)
    _text(panel, 'm/s', (130, 62), DIM, 0.6)
    _text(panel, f'{snapshot.time_s:.1f} s', (190, 62), DIM, 0.6)
    command = snapshot.command or Command(0.0, 0.0, 0.0, 0.0, 0.0, reason='no command')
    _bar(panel, 96, 'throttle', command.throttle, GREEN)
    _bar(panel, 146, 'brake', command.brake, RED)
    _centred_bar(panel, 196, 'steering', command.steering_angle_rad, snapshot.vehicle.max_steering_rad)
    _text(panel, 'EMERGENCY' if command.emergency else 'reason', (16, 262), RED if command.emergency else DIM, 0.45)
    for row, line in enumerate(_wrapped(command.reason or 'following the plan', 30)[:3]):
        _text(panel, line, (16, 284 + 20 * row), TEXT if command.reason else GREEN, 0.48)
    for row, (name, value) in enumerate(_facts(snapshot)):
        _text(panel, name, (16, 352 + 18 * row), DIM, 0.42)
        _text(panel, value, (130, 352 + 18 * row), TEXT, 0.42)


def _facts(snapshot: Snapshot) -> list[tuple[str, str]]:
    facts = []
    if snapshot.distance_m is not None:
        hits = '' if not snapshot.collisions else f', {snapshot.collisions} collisions'
        facts.append(('driven', f'{snapshot.distance_m:.0f} m{hits}'))
    if snapshot.latency_ms is not None:
        facts.append(('latency', f'{snapshot.latency_ms:.0f} ms'))
    known = sum(item.label is not Label.UNKNOWN for item in snapshot.objects)
    facts.append(('objects', f'{known} and {len(snapshot.objects) - known} unknown'))
    return facts


def _bar(panel: Image, top: int, name: str, value: float, colour: Colour) -> None:
    width = panel.shape[1] - 32
    _text(panel, name, (16, top), DIM, 0.45)
    _text(panel, f'{100 * value:.0f} %', (width - 26, top), TEXT, 0.45)
    cv2.rectangle(panel, (16, top + 8), (16 + width, top + 24), FAINT, -1)
    if value > 0.0:
        cv2.rectangle(panel, (16, top + 8), (16 + round(width * min(1.0, value)), top + 24), colour, -1)


def _centred_bar(panel: Image, top: int, name: str, value_rad: float, limit_rad: float) -> None:
    """Left steering goes to the left."""
    width = panel.shape[1] - 32
    middle = 16 + width // 2
    _text(panel, name, (16, top), DIM, 0.45)
    _text(panel, f'{np.degrees(value_rad):+.1f} deg', (width - 62, top), TEXT, 0.45)
    cv2.rectangle(panel, (16, top + 8), (16 + width, top + 24), FAINT, -1)
    end = middle - round(0.5 * width * float(np.clip(value_rad / limit_rad, -1.0, 1.0)))
    cv2.rectangle(panel, (min(middle, end) - 1, top + 8), (max(middle, end) + 1, top + 24), BLUE, -1)


def _wrapped(text: str, width: int) -> list[str]:
    lines = ['']
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append('')
        lines[-1] = f'{lines[-1]} {word}'.strip()
    return lines


def _text(image: Image, text: str, place: tuple[int, int], colour: Colour, size: float, thickness: int = 1) -> None:
    """A line of text with a dark rim, so that it reads on any ground."""
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, BACKGROUND, thickness + 2, cv2.LINE_AA)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)
