"""How the sensors of a drive look and measure, drawn at random, so that a network learns what lies behind it.

The ranges cover what recorded frames (nuScenes, Argoverse 2, KITTI) have and the world's do not. LiDAR: their intensities are a
third of the world's (median 0.03-0.05 against 0.10-0.22), spread twice as wide for their mean, partly 0 (KITTI: a quarter), and
the vehicle hides two fifths of the ground within 5 m that the world's LiDAR sees; their ground lies up to 0.2 m off at 20 m.
Images: means of cameras differ by 0.04-0.06 of the full range (the world's by 0.01-0.03), colours are half as strong, and
contrast reaches twice the world's.

Legend: N cameras, P points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.frame import CameraImages, LidarPoints
from moe_bev_ros.learning.drives import F32, DriveFrame

U8 = NDArray[np.uint8]

PLAIN_SHARE = 0.6  # of the drives, for images and points each: as they are
MAX_CAMERAS = 16
GAIN, GAMMA, CURVE = (0.75, 1.4), (0.75, 1.35), (-0.5, 0.7)
CAMERA_GAIN, COLOUR_GAIN = 0.1, 0.05  # standard deviations of logarithms
SATURATION = (0.3, 1.1)
SHARP_SHARE, BLUR_SHARE = 0.15, 0.3
SHARPEN, BLUR = (-0.12, -0.03), (0.05, 0.22)  # weight of a pixel's neighbour on each side
INTENSITY_GAIN, INTENSITY_GAMMA, INTENSITY_SPREAD = (0.25, 1.1), (0.9, 1.7), (0.0, 0.5)
NO_INTENSITY_SHARE, SOME_ZERO_SHARE, MAX_ZERO = 0.08, 0.2, 0.4
MAX_LOST = 0.3  # points
HIDDEN_SHARE, HIDDEN_M = 0.5, (2.0, 5.5)  # around base_link
LEVEL_M, TILT = 0.05, 0.004  # standard deviations of the height and of the slope about each axis
LEVELS = 1024  # of the table of intensities


@dataclass(frozen=True)
class ImageLook:
    """Of all cameras.

    Attributes:
        tables_n3x256: (MAX_CAMERAS, 3, 256) uint8 what becomes of a byte.
        saturation: 0: grey, 1: as it is.
        blur: weight of a pixel's neighbour on each side; below 0 it sharpens.
    """

    tables_n3x256: U8
    saturation: float
    blur: float

    @staticmethod
    def drawn(rng: np.random.Generator) -> ImageLook:
        """At random."""
        gain_n3 = _log_uniform(rng, GAIN) * np.exp(
            rng.normal(0.0, CAMERA_GAIN, (MAX_CAMERAS, 1)) + rng.normal(0.0, COLOUR_GAIN, 3)
        )
        value = np.minimum(gain_n3[..., None] * (np.arange(256) / 255) ** _log_uniform(rng, GAMMA), 1.0)
        curved = value + rng.uniform(*CURVE) * (value * value * (3.0 - 2.0 * value) - value)
        which = rng.random()
        blur = 0.0
        if which < SHARP_SHARE + BLUR_SHARE:
            blur = float(rng.uniform(*(SHARPEN if which < SHARP_SHARE else BLUR)))
        return ImageLook(np.round(255 * curved).astype(np.uint8), float(rng.uniform(*SATURATION)), blur)

    def of(self, images_nhw3: U8, valid_n: NDArray[np.bool_]) -> U8:
        """New (N, H, W, 3) images; those that are not valid stay as they are."""
        if len(images_nhw3) > MAX_CAMERAS:
            raise ValueError(f'{len(images_nhw3)} cameras, at most {MAX_CAMERAS}')
        out = np.empty_like(images_nhw3)
        _recolour(np.ascontiguousarray(images_nhw3), valid_n, self.tables_n3x256, round(256 * self.saturation), out)
        if self.blur:
            kernel = np.array([self.blur, 1.0 - 2.0 * self.blur, self.blur])
            for camera in np.flatnonzero(valid_n):
                out[camera] = cv2.sepFilter2D(out[camera], -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
        return out


@dataclass(frozen=True)
class LidarLook:
    """Of the LiDAR.

    Attributes:
        gain, gamma: of intensities.
        spread: standard deviation of the logarithm of each point's own factor.
        zero_share: of points without intensity.
        lost_share: of points that do not come back.
        hidden_m: nothing is seen so near to base_link's z axis [m].
        level_m, slope_xy: error of the mounting: z grows by level_m + slope_xy @ (x, y).
    """

    gain: float = 1.0
    gamma: float = 1.0
    spread: float = 0.0
    zero_share: float = 0.0
    lost_share: float = 0.0
    hidden_m: float = 0.0
    level_m: float = 0.0
    slope_xy: tuple[float, float] = (0.0, 0.0)

    @staticmethod
    def drawn(rng: np.random.Generator) -> LidarLook:
        """At random."""
        which = rng.random()
        some_zero = float(rng.uniform(0.0, MAX_ZERO)) if which < NO_INTENSITY_SHARE + SOME_ZERO_SHARE else 0.0
        return LidarLook(
            gain=_log_uniform(rng, INTENSITY_GAIN),
            gamma=_log_uniform(rng, INTENSITY_GAMMA),
            spread=float(rng.uniform(*INTENSITY_SPREAD)),
            zero_share=1.0 if which < NO_INTENSITY_SHARE else some_zero,
            lost_share=float(rng.uniform(0.0, MAX_LOST)),
            hidden_m=float(rng.uniform(*HIDDEN_M)) if rng.random() < HIDDEN_SHARE else 0.0,
            level_m=float(rng.normal(0.0, LEVEL_M)),
            slope_xy=(float(rng.normal(0.0, TILT)), float(rng.normal(0.0, TILT))),
        )

    def of(self, points_p5: F32, rng: np.random.Generator) -> F32:
        """New points, as many or fewer."""
        num = len(points_p5)
        table = (self.gain * np.linspace(0.0, 1.0, LEVELS) ** self.gamma).astype(np.float32)
        factors_p = np.exp(np.float32(self.spread) * rng.standard_normal(num, np.float32))
        drawn_p = rng.random((2, num), np.float32)
        shares = np.array([self.zero_share, self.lost_share, self.hidden_m**2, self.level_m, *self.slope_xy], np.float32)
        out = np.empty_like(points_p5)
        return out[: _measure(np.ascontiguousarray(points_p5), table, factors_p, drawn_p, shares, out)]


@dataclass(frozen=True)
class Appearance:
    """Of a whole drive; None: as it is.

    Attributes:
        seed: of what differs from point to point.
    """

    images: ImageLook | None
    lidar: LidarLook | None
    seed: int

    @staticmethod
    def drawn(rng: np.random.Generator) -> Appearance:
        """At random."""
        images = ImageLook.drawn(rng) if rng.random() >= PLAIN_SHARE else None
        lidar = LidarLook.drawn(rng) if rng.random() >= PLAIN_SHARE else None
        return Appearance(images, lidar, int(rng.integers(2**31)))

    def of(self, item: DriveFrame) -> DriveFrame:
        """A frame that looks so; what is true stays."""
        cameras, lidar = item.frame.cameras, item.frame.lidar
        if cameras is not None and self.images is not None:
            cameras = self._cameras(cameras, self.images)
        if lidar is not None and self.lidar is not None:
            rng = np.random.default_rng((self.seed, item.frame.stamp_ns))
            lidar = LidarPoints(self.lidar.of(lidar.points_n5, rng))
        return replace(item, frame=replace(item.frame, cameras=cameras, lidar=lidar))

    @staticmethod
    def _cameras(cameras: CameraImages, look: ImageLook) -> CameraImages:
        return replace(cameras, images_nhw3=look.of(cameras.images_nhw3, cameras.valid_n))


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


@njit(cache=True, nogil=True)
def _recolour(images_nhw3, valid_n, tables_n3x256, saturation_256, out_nhw3):  # type: ignore[no-untyped-def]
    """Look bytes up, then move them towards their grey (weights of BT.601)."""
    for camera in range(images_nhw3.shape[0]):
        if not valid_n[camera]:
            out_nhw3[camera] = images_nhw3[camera]
            continue
        red_256, green_256, blue_256 = tables_n3x256[camera, 0], tables_n3x256[camera, 1], tables_n3x256[camera, 2]
        for row in range(images_nhw3.shape[1]):
            for column in range(images_nhw3.shape[2]):
                red = np.int32(red_256[images_nhw3[camera, row, column, 0]])
                green = np.int32(green_256[images_nhw3[camera, row, column, 1]])
                blue = np.int32(blue_256[images_nhw3[camera, row, column, 2]])
                grey = (77 * red + 150 * green + 29 * blue) >> 8
                rest = grey * (256 - saturation_256) + 128
                out_nhw3[camera, row, column, 0] = min(max((saturation_256 * red + rest) >> 8, 0), 255)
                out_nhw3[camera, row, column, 1] = min(max((saturation_256 * green + rest) >> 8, 0), 255)
                out_nhw3[camera, row, column, 2] = min(max((saturation_256 * blue + rest) >> 8, 0), 255)


@njit(cache=True, nogil=True)
def _measure(points_p5, table, factors_p, drawn_2p, shares, out_p5):  # type: ignore[no-untyped-def]
    """Number of points that are left; ``shares``: zero, lost, hidden squared, level, slopes."""
    num, top = 0, len(table) - 1
    for p in range(len(points_p5)):
        x, y, z, intensity, time_s = points_p5[p]
        if drawn_2p[1, p] < shares[1] or x * x + y * y < shares[2]:
            continue
        level = np.float32(0.0)
        if drawn_2p[0, p] >= shares[0] and intensity > 0.0:
            level = min(factors_p[p] * table[int(min(intensity, 1.0) * top)], np.float32(1.0))
        out_p5[num, 0], out_p5[num, 1], out_p5[num, 4] = x, y, time_s
        out_p5[num, 2] = z + shares[3] + shares[4] * x + shares[5] * y
        out_p5[num, 3] = level
        num += 1
    return num
