from __future__ import annotations

from contextlib import suppress

import cv2
import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.perception.images import BAYER, ENCODINGS, CompressedImage, RawImage, reduce

WIDTH, HEIGHT = 64, 48


def scene() -> np.ndarray:
    """A smooth RGB picture in which left and right, up and down, and the channels all differ."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    return np.stack([40 + 180 * x, 30 + 150 * y, 120 - 90 * x * y], axis=-1).astype(np.uint8)


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    result = np.empty(rgb.shape[:2], np.uint8)
    for index, colour in enumerate(pattern):
        row, column = divmod(index, 2)
        result[row::2, column::2] = rgb[row::2, column::2, 'rgb'.index(colour)]
    return result


def planes(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """The rows of bytes that a camera of this encoding sends for the picture."""
    if encoding in BAYER:
        return mosaic(rgb, encoding[6:10])
    if encoding == 'mono8':
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if encoding in ('rgb8', 'bgr8', 'rgba8', 'bgra8'):
        order = [2, 1, 0] if encoding.startswith('bgr') else [0, 1, 2]
        alpha = [np.full(rgb.shape[:2], 7, np.uint8)] * encoding.endswith('a8')
        return np.stack([*(rgb[..., index] for index in order), *alpha], axis=-1).reshape(HEIGHT, -1)
    planar = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    chroma = planar[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2).transpose(1, 2, 0)
    if encoding == 'nv12':
        return np.concatenate([planar[:HEIGHT], chroma.reshape(HEIGHT // 2, WIDTH)])
    uv = chroma.repeat(2, axis=0).reshape(HEIGHT, WIDTH)
    pair = (uv, planar[:HEIGHT]) if encoding in ('yuv422', 'uyvy') else (planar[:HEIGHT], uv)
    return np.stack(pair, axis=-1).reshape(HEIGHT, 2 * WIDTH)


def raw(encoding: str, padding: int = 0, rgb: np.ndarray | None = None) -> RawImage:
    rows = planes(scene() if rgb is None else rgb, encoding)
    padded = np.full((len(rows), rows.shape[1] + padding), 255, np.uint8)
    padded[:, : rows.shape[1]] = rows
    return RawImage(encoding, WIDTH, HEIGHT, padded.shape[1], padded.ravel())


def wanted(encoding: str) -> np.ndarray:
    if encoding == 'mono8':
        return np.repeat(cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return scene()


@pytest.mark.parametrize('padding', [0, 32])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_every_encoding_decodes_to_the_same_picture(encoding: str, padding: int) -> None:
    found = raw(encoding, padding).rgb()
    assert found.shape == (HEIGHT, WIDTH, 3)
    difference = np.abs(found[2:-2, 2:-2].astype(int) - wanted(encoding)[2:-2, 2:-2])
    assert difference.max() <= 8, encoding  # chroma of 4:2:0 is blurred


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_rows_and_reduction_give_the_mean_of_that_part(encoding: str) -> None:
    found = raw(encoding, 16).rgb(4, (16, 40))
    expected = reduce(wanted(encoding)[16:40], 4)
    assert found.shape == expected.shape == (6, 16, 3)
    assert np.abs(found.astype(int) - expected).max() <= 6


def test_the_message_is_read_without_a_copy() -> None:
    image = raw('rgb8')
    assert np.shares_memory(image.rgb(), image.data)


def test_reduction_is_the_mean() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    means = pixels.reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(reduce(pixels, 4) - means).max() <= 1.5


@pytest.mark.parametrize(
    ('change', 'fact'),
    [
        ({'encoding': '16UC1'}, "unknown encoding '16UC1'; publish one of rgb8"),
        ({'encoding': ''}, 'unknown encoding'),
        ({'step': 100}, 'step 100 is less than the 192 bytes of a row in bgr8'),
        ({'step': 200}, r'truncated image: 9216 bytes, wanted 9600 \(48 rows of step 200\)'),
        ({'height': 47}, 'wrong step: 9216 bytes, but 47 rows of step 192 are 9024'),
        ({'data': np.zeros(5000, np.uint8)}, 'truncated image: 5000 bytes, wanted 9216'),
        ({'data': np.zeros(0, np.uint8)}, 'truncated image: 0 bytes'),
        ({'height': 0}, 'image of 64 x 0'),
        ({'encoding': 'nv12', 'step': 64, 'height': 47}, 'nv12 needs even sizes'),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_fact(change: dict, fact: str) -> None:
    fields = {'encoding': 'bgr8', 'width': WIDTH, 'height': HEIGHT, 'step': 3 * WIDTH, 'data': np.zeros(9216, np.uint8)}
    with pytest.raises(InputError, match=fact):
        RawImage(**{**fields, **change})


def compressed(kind: str, rgb: np.ndarray | None = None) -> np.ndarray:
    return cv2.imencode(kind, cv2.cvtColor(scene() if rgb is None else rgb, cv2.COLOR_RGB2BGR))[1].ravel()


@pytest.mark.parametrize('kind', ['.jpg', '.png'])
@pytest.mark.parametrize('reduction', [1, 2, 4])
def test_jpeg_and_png_decode_reduced(kind: str, reduction: int) -> None:
    image = CompressedImage(compressed(kind))
    assert image.size() == (WIDTH, HEIGHT)
    found = image.rgb(reduction, (16, 40))
    expected = reduce(scene()[16:40], reduction)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 10


@pytest.mark.parametrize('kind', ['.jpg', '.png'])
def test_a_grey_file_decodes_to_three_channels(kind: str) -> None:
    data = cv2.imencode(kind, scene()[..., 0])[1].ravel()
    assert CompressedImage(data).rgb().shape == (HEIGHT, WIDTH, 3)


def test_a_file_written_with_red_and_blue_swapped_is_put_right() -> None:
    swapped = cv2.imencode('.png', scene())[1].ravel()
    assert np.array_equal(CompressedImage(swapped, 'rgb8; png compressed rgb8').rgb(), scene())


@pytest.mark.parametrize('kind', ['.jpg', '.png'])
@pytest.mark.parametrize('part', [0.3, 0.9])
def test_a_truncated_file_is_refused(kind: str, part: float) -> None:
    data = compressed(kind)
    with pytest.raises(InputError, match='truncated'):
        CompressedImage(data[: int(part * data.size)])


@pytest.mark.parametrize('content', [b'', b'hello', bytes(100)])
def test_bytes_of_another_kind_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match='neither JPEG nor PNG'):
        CompressedImage(np.frombuffer(content, np.uint8), 'h264')


def test_a_broken_middle_gives_a_picture_or_an_input_error() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        data = compressed('.png').copy()
        data[rng.integers(24, data.size - 12, 20)] = rng.integers(0, 256, 20)
        with suppress(InputError):
            assert CompressedImage(data).rgb().shape[2] == 3


def test_real_pictures_are_read(data_dir) -> None:
    jpeg = CompressedImage(np.fromfile(data_dir / 'nuscenes/scene-0103/1/CAM_FRONT.jpg', np.uint8))
    assert jpeg.size() == (1600, 900)
    assert jpeg.rgb(4).shape == (225, 400, 3)
    png = CompressedImage(np.fromfile(data_dir / 'kitti/2011_09_26_seq/00.png', np.uint8))
    assert png.size() == png.rgb().shape[1::-1] == (1242, 375)


def test_decoding_agrees_with_cv_bridge() -> None:
    cv_bridge = pytest.importorskip('cv_bridge', reason='cv_bridge is not installed (it is not on PyPI for ROS 2)')
    from sensor_msgs.msg import Image

    for encoding in ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', *BAYER):
        image = raw(encoding)
        message = Image(encoding=encoding, width=WIDTH, height=HEIGHT, step=image.step, data=image.data.tobytes())
        assert np.array_equal(cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8'), image.rgb()), encoding
