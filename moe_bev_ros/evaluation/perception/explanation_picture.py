"""A picture of what in the images made the network see some objects; see `engine.explanation`.

Left, for each camera: Grad-CAM over its image with the key points, and below it the importance that they were chosen by. Right:
the road users from above, with those that are explained in a ring. Drawn with OpenCV; the vehicle looks up.

Legend: N cameras, h w blocks of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.footprints import corners_of, footprints_of
from moe_bev_ros.core.frame import CameraImages, Frame
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.engine.explanation import BLOCK_CENTRE, Explanation
from moe_bev_ros.evaluation.pictures import BACKGROUND, CLASS_COLOURS, COLUMNS, DIM, FAINT, GAP, PANEL, TEXT, Colour, Image
from moe_bev_ros.model.config import IMAGE_STRIDE

TILE_WIDTH = 352
CAPTION = 20  # pixels above a tile
VIEW_M = 51.2
FIRST_POINT: Colour = (255, 255, 255)
OTHER_POINT: Colour = (120, 255, 160)
RING: Colour = (255, 255, 255)
HEAT = 0.65  # how much of the colour the strongest block gets
SHOWN_SCORE = 0.2


def draw_explanation(explanation: Explanation, frame: Frame, detections: Detections) -> Image:
    """(H, W, 3) uint8 RGB.

    Raises:
        ValueError: the frame has no cameras.
    """
    if frame.cameras is None:
        raise ValueError('a frame without cameras has no explanation')
    slots = _slots(frame.cameras.names)
    columns, rows = 3, -(-max(slots.values(), default=0) // 3) if len(slots) > 6 else 2
    height = round(TILE_WIDTH * frame.cameras.images_nhw3.shape[1] / frame.cameras.images_nhw3.shape[2])
    step = 2 * (height + GAP) + CAPTION
    canvas = np.empty((rows * step + CAPTION, columns * (TILE_WIDTH + GAP) + rows * step + CAPTION, 3), np.uint8)
    canvas[:] = BACKGROUND
    for camera, name in enumerate(frame.cameras.names):
        top, left = (slots[name] // 3) * step, (slots[name] % 3) * (TILE_WIDTH + GAP)
        _text(canvas, name.removeprefix('CAM_').replace('_', ' ').lower(), (left + 4, top + 14), TEXT)
        for row, tile in enumerate(_tiles(frame.cameras, camera, explanation, height)):
            above = top + CAPTION + row * (height + GAP)
            canvas[above : above + height, left : left + TILE_WIDTH] = tile
    _text(canvas, _caption(explanation), (4, canvas.shape[0] - 6), DIM)
    canvas[:, columns * (TILE_WIDTH + GAP) :] = _view(canvas.shape[0], frame, detections, explanation)
    return canvas


def _slots(names: Sequence[str]) -> dict[str, int]:
    """The usual six in their places, others wherever there is one."""
    free = [slot for slot, usual in enumerate(COLUMNS) if usual not in names]
    free += range(len(COLUMNS), len(COLUMNS) + len(names))
    return {name: COLUMNS.index(name) if name in COLUMNS else free.pop(0) for name in names}


def _caption(explanation: Explanation) -> str:
    num = len(explanation.scores_m)
    which = f'{num} {explanation.label.name.lower()}, scores {", ".join(f"{score:.2f}" for score in explanation.scores_m[:5])}'
    return f'above: Grad-CAM of {which}; white: first key points, green: the others; below: importance'


def _tiles(cameras: CameraImages, camera: int, explanation: Explanation, height: int) -> tuple[Image, Image]:
    """With Grad-CAM and key points, and with importance."""
    size = (TILE_WIDTH, height)
    image_hw3 = cameras.images_nhw3[camera]
    tile = cv2.resize(image_hw3, size, interpolation=cv2.INTER_LINEAR)
    if not cameras.valid_n[camera]:
        return np.full_like(tile, PANEL), np.full_like(tile, PANEL)
    scale = TILE_WIDTH / image_hw3.shape[1]
    influence = _heated(tile, explanation.influence_nhw[camera], scale)
    for index, pixel_2 in reversed(list(enumerate(explanation.key_points_nk2[camera]))):
        first = index < explanation.num_first
        place = (round(float(pixel_2[0]) * scale), round(float(pixel_2[1]) * scale))
        cv2.circle(influence, place, 3 if first else 1, FIRST_POINT if first else OTHER_POINT, 1)
    return influence, _heated(tile, explanation.importance_nhw[camera], scale)


def _heated(tile: Image, heat_hw: NDArray[np.float32], scale: float) -> Image:
    """The stronger, the more of the colour covers the image."""
    side = IMAGE_STRIDE * scale
    matrix = np.array([[1.0 / side, 0.0, -BLOCK_CENTRE / IMAGE_STRIDE], [0.0, 1.0 / side, -BLOCK_CENTRE / IMAGE_STRIDE]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    smooth = cv2.warpAffine(heat_hw, matrix, (tile.shape[1], tile.shape[0]), flags=how, borderMode=cv2.BORDER_REPLICATE)
    smooth = np.clip(smooth, 0.0, 1.0)
    colours = cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    share = HEAT * np.sqrt(smooth)[..., None]
    return np.round((1.0 - share) * tile + share * colours).astype(np.uint8)


def _view(side: int, frame: Frame, detections: Detections, explanation: Explanation) -> Image:
    """From above: points, boxes, and rings around what is explained."""
    view = np.empty((side, side, 3), np.uint8)
    view[:] = PANEL
    pixels_per_m = side / (2 * VIEW_M)
    for radius_m in (20, 40):
        cv2.circle(view, (side // 2, side // 2), round(radius_m * pixels_per_m), FAINT, 1, cv2.LINE_AA)
    if frame.lidar is not None:
        pixels = np.round(_pixels(frame.lidar.points_n5[:, :2], side)).astype(np.int64)
        pixels = pixels[((pixels >= 0) & (pixels < side)).all(axis=1)]
        view[pixels[:, 1], pixels[:, 0]] = FAINT
    shown_n = detections.scores_n >= SHOWN_SCORE
    for label, corners_42 in zip(detections.labels_n[shown_n], corners_of(footprints_of(detections.boxes_n7[shown_n]))):
        outline = np.round(_pixels(corners_42, side)).astype(np.int32)
        cv2.polylines(view, [outline.reshape(-1, 1, 2)], True, CLASS_COLOURS[Label(int(label))], 2)
        cv2.line(view, outline.mean(axis=0).astype(int).tolist(), outline[:2].mean(axis=0).astype(int).tolist(), DIM, 1)
    for column, row in _pixels(explanation.centres_m2, side):
        cv2.circle(view, (round(column), round(row)), 12, RING, 1, cv2.LINE_AA)
    cv2.drawMarker(view, (side // 2, side // 2), TEXT, cv2.MARKER_TRIANGLE_UP, 10)
    return view


def _pixels(xy_n2: NDArray[np.floating[Any]], side: int) -> NDArray[np.float64]:
    """(N, 2) column and row: ahead is up, left is left."""
    pixels_per_m = side / (2 * VIEW_M)
    return side / 2 - np.asarray(xy_n2, float)[:, ::-1] * pixels_per_m


def _text(image: Image, text: str, place: tuple[int, int], colour: Colour) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
