"""Image messages' bytes to RGB, with no more work than the model's input needs.

A camera delivers four to five pixels for each one that the model sees. So every decoder here takes a ``reduction`` (1, 2, 4 or
8: the mean of that many pixels in each direction) and the range of rows that will be used. Means of 2 x 2 are OpenCV's fastest
area filter, and JPEG decodes to a half, a quarter or an eighth in the DCT domain; both average, so nothing aliases. Encodings
and their names are those of sensor_msgs/image_encodings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError

Pixels = NDArray[np.uint8]

REDUCTIONS = (1, 2, 4, 8)
# channels, conversion to RGB. These conversions are linear per pixel: they come after the reduction, on fewer pixels.
PLAIN = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
}
# OpenCV names a Bayer pattern after its second row; the pattern in ROS is that of the first.
BAYER = {
    'bayer_rggb8': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr8': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
}
YUV422 = {
    'yuv422': cv2.COLOR_YUV2RGB_UYVY,
    'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2,
    'yuyv': cv2.COLOR_YUV2RGB_YUY2,
}
NV12 = 'nv12'
ENCODINGS = (*PLAIN, *BAYER, *YUV422, NV12)

_JPEG_START, _JPEG_END = b'\xff\xd8\xff', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND'
_END_WITHIN = 64  # some drivers pad a compressed image with a few bytes
_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


@dataclass(frozen=True)
class RawImage:
    """The fields of a sensor_msgs/Image, checked against each other.

    Attributes:
        data: the message's bytes, not copied.
        step: bytes from one row to the next; may be more than a row needs.

    Raises:
        InputError: unknown encoding, or sizes that do not fit.
    """

    encoding: str
    width: int
    height: int
    step: int
    data: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise InputError(f'unknown encoding {self.encoding!r}; publish one of {", ".join(ENCODINGS)}')
        if self.width <= 0 or self.height <= 0:
            raise InputError(f'image of {self.width} x {self.height} pixels; check the driver')
        even_width = self.encoding == NV12 or self.encoding in YUV422 or self.encoding in BAYER
        even_height = self.encoding == NV12 or self.encoding in BAYER
        if (even_width and self.width % 2) or (even_height and self.height % 2):
            raise InputError(f'{self.encoding} needs even sizes, got {self.width} x {self.height}; check the driver')
        row = self.width * self.bytes_per_pixel
        if self.step < row:
            raise InputError(f'step {self.step} is less than the {row} bytes of a row in {self.encoding}; check the driver')
        wanted, found = self.step * self.num_rows, self.data.size
        if found < wanted:
            raise InputError(f'truncated image: {found} bytes, wanted {wanted} ({self.num_rows} rows of step {self.step})')
        if found > wanted:
            raise InputError(f'wrong step: {found} bytes, but {self.num_rows} rows of step {self.step} are {wanted}')

    @property
    def bytes_per_pixel(self) -> int:
        """In the first plane."""
        if self.encoding in PLAIN:
            return PLAIN[self.encoding][0]
        return 2 if self.encoding in YUV422 else 1

    @property
    def num_rows(self) -> int:
        """Rows of ``step`` bytes, all planes together."""
        return self.height * 3 // 2 if self.encoding == NV12 else self.height

    def rgb(self, reduction: int = 1, rows: tuple[int, int] | None = None) -> Pixels:
        """Decode rows [first, last) to (h, w, 3) RGB, each side divided by ``reduction``; the rest of a division is cut off.

        ``rows`` must start at an even number and hold an even number of rows.
        """
        first, last = rows or (0, self.height)
        if self.encoding == NV12:
            return reduce(self._nv12(first, last), reduction)
        channels = self.bytes_per_pixel
        row_bytes = self.data.reshape(self.height, self.step)[first:last, : self.width * channels]
        if self.encoding in BAYER:
            return reduce(_convert(row_bytes, BAYER[self.encoding]), reduction)
        pixels = row_bytes.reshape(last - first, self.width, channels)
        if self.encoding in YUV422:
            return reduce(_convert(pixels, YUV422[self.encoding]), reduction)
        return _convert(reduce(pixels, reduction), PLAIN[self.encoding][1])

    def _nv12(self, first: int, last: int) -> Pixels:
        plane_rows = self.data.reshape(self.num_rows, self.step)
        luma = plane_rows[first:last, : self.width]
        chroma = plane_rows[self.height + first // 2 : self.height + last // 2, : self.width]
        chroma = chroma.reshape(len(chroma), self.width // 2, 2)
        return np.asarray(cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2RGB_NV12), np.uint8)


@dataclass(frozen=True)
class CompressedImage:
    """A JPEG or PNG file as sensor_msgs/CompressedImage carries it; the size comes from its head, without decoding.

    Attributes:
        data: the message's bytes, not copied.
        format: the message's format; ``… compressed rgb8`` says that red and blue were swapped when it was written.

    Raises:
        InputError: neither JPEG nor PNG, or cut off.
    """

    data: NDArray[np.uint8]
    format: str = ''

    def __post_init__(self) -> None:
        start, tail = self.data[:8].tobytes(), self.data[-_END_WITHIN:].tobytes()
        if not (start.startswith(_JPEG_START) or start == _PNG_START):
            raise InputError(f'compressed image (format {self.format!r}) is neither JPEG nor PNG; publish one of these')
        if (_JPEG_END if self.is_jpeg else _PNG_END) not in tail:
            raise InputError(f'truncated {"JPEG" if self.is_jpeg else "PNG"} of {self.data.size} bytes: its end is missing')

    @property
    def is_jpeg(self) -> bool:
        """Whether it is a JPEG; else it is a PNG."""
        return self.data[:3].tobytes() == _JPEG_START

    def size(self) -> tuple[int, int]:
        """Width and height [pixels].

        Raises:
            InputError: the head holds no size.
        """
        head = self.data.data  # a view: the whole image is not copied for its size
        width, height = _jpeg_size(head) if self.is_jpeg else _png_size(head)
        if width <= 0 or height <= 0:
            raise InputError('compressed image without a size in its head; check the driver')
        return width, height

    def rgb(self, reduction: int = 1, rows: tuple[int, int] | None = None) -> Pixels:
        """Decode rows [first, last) to (h, w, 3) RGB, each side divided by ``reduction``.

        Raises:
            InputError: the content cannot be decoded.
        """
        flags = _JPEG_FLAGS[reduction] if self.is_jpeg else cv2.IMREAD_COLOR
        try:
            bgr = cv2.imdecode(self.data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as err:
            raise InputError(f'compressed image of {self.data.size} bytes cannot be decoded: {err.err}') from err
        if bgr is None:
            raise InputError(f'compressed image of {self.data.size} bytes cannot be decoded; check the driver')
        done = reduction if self.is_jpeg else 1
        if rows is not None:
            bgr = bgr[rows[0] // done : -(-rows[1] // done)]
        reduced = reduce(bgr, reduction // done)
        return reduced if 'compressed rgb8' in self.format else _convert(reduced, cv2.COLOR_BGR2RGB)


def reduce(pixels: NDArray[Any], reduction: int) -> Pixels:
    """Mean of ``reduction`` x ``reduction`` pixels by repeated halving: 3 times as quick as one step of 4 in OpenCV 4.11."""
    height, width = pixels.shape[0] // reduction * reduction, pixels.shape[1] // reduction * reduction
    pixels = pixels[:height, :width]
    while reduction > 1:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
        reduction //= 2
    return pixels


def _convert(pixels: NDArray[Any], code: int | None) -> Pixels:
    return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _png_size(head: memoryview) -> tuple[int, int]:
    return int.from_bytes(head[16:20], 'big'), int.from_bytes(head[20:24], 'big')


def _jpeg_size(head: memoryview) -> tuple[int, int]:
    """Walk the segments to the start of frame (ITU T.81, B.2.2)."""
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(head[at + 7 : at + 9], 'big'), int.from_bytes(head[at + 5 : at + 7], 'big')
        at += 1 if marker == 0xFF else 2 + int.from_bytes(head[at + 2 : at + 4], 'big')
    return 0, 0
