import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.perception import point_kernels as k
from moe_bev_ros.perception.point_cloud import CloudLayout, PointField, read_cloud
from moe_bev_ros.perception.sweep import Crop, SensorCloud, build_sweep

STAMP_NS = 1_700_000_000_250_000_000
EVERYTHING = Crop((0.0, 0.0, 0.0, 0.0, -9e9, -9e9), (-1e9, 1e9, -1e9, 1e9, -1e9, 1e9))
CODES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8, 'i8': 9, 'u8': 10}


def message(columns, *, big=False, gap=0, height=1, row_padding=0):
    """Bytes and layout of a cloud from {name: (numpy type, values)}, ``gap`` unused bytes before each field."""
    order = '>' if big else '<'
    offsets, at = [], 0
    for kind, _ in columns.values():
        offsets.append(at + gap)
        at += gap + np.dtype(kind).itemsize
    formats = [order + kind for kind, _ in columns.values()]
    num = len(next(iter(columns.values()))[1])
    records = np.zeros(num, np.dtype({'names': list(columns), 'formats': formats, 'offsets': offsets, 'itemsize': at}))
    for name, (_, values) in columns.items():
        records[name] = values
    width = num // height
    rows = [records[row * width : (row + 1) * width].tobytes() + b'\xff' * row_padding for row in range(height)]
    fields = tuple(PointField(name, at, CODES[kind]) for (name, (kind, _)), at in zip(columns.items(), offsets))
    layout = CloudLayout(fields, height, width, records.itemsize, width * records.itemsize + row_padding, big)
    return layout, b''.join(rows)


def xyz(num, kind='f4'):
    values = np.arange(1, num + 1, dtype=float)
    return {'x': (kind, values), 'y': (kind, -values), 'z': (kind, values / 2)}


def points_of(cloud):
    sweep = build_sweep(STAMP_NS, (SensorCloud(cloud, STAMP_NS, np.eye(4)),), EVERYTHING)
    return sweep.points.points_n5


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(['f4', 'f8']),
    intensity=st.sampled_from(['f4', 'f8', 'u1', 'u2', 'i2', 'u4']),
    big=st.booleans(),
    gap=st.integers(0, 3),
    height=st.sampled_from([1, 2, 4]),
    row_padding=st.integers(0, 5),
)
def test_any_layout_gives_the_same_points(kind, intensity, big, gap, height, row_padding):
    columns = {**xyz(8, kind), 'intensity': (intensity, np.arange(8) * 30), 'ring': ('u2', np.arange(8))}
    layout, data = message(columns, big=big, gap=gap, height=height, row_padding=row_padding)
    cloud = read_cloud(layout, data, STAMP_NS)
    points = points_of(cloud)
    np.testing.assert_array_equal(points[:, 0], np.arange(1, 9))
    np.testing.assert_array_equal(points[:, 1], -np.arange(1, 9))
    np.testing.assert_array_equal(points[:, 2], np.arange(1, 9) / 2)
    full_scale = 65535 if intensity == 'u2' else 255
    np.testing.assert_allclose(points[:, 3], np.arange(8) * 30 / full_scale, atol=1e-6)
    np.testing.assert_array_equal(cloud.column('ring', 'channel').ravel(), np.arange(8))


RELATIVE_S = np.linspace(-0.1, 0.0, 11)


@pytest.mark.parametrize(
    ('name', 'kind', 'values', 'stamp_at_end'),
    [
        ('time', 'f4', RELATIVE_S, True),
        ('time', 'f4', RELATIVE_S + 0.1, True),
        ('t', 'u4', (RELATIVE_S + 0.1) * 1e9, True),
        ('offset_time', 'f4', (RELATIVE_S + 0.1) * 1e9, True),
        ('offset_ns', 'i4', RELATIVE_S * 1e9, True),
        ('timestamp', 'f8', STAMP_NS * 1e-9 + RELATIVE_S, True),
        ('timestamp', 'f8', STAMP_NS + RELATIVE_S * 1e9, True),
        ('time_stamp', 'u8', STAMP_NS + np.round(RELATIVE_S * 1e9).astype(np.int64), True),
        ('t', 'u4', (RELATIVE_S + 0.1) * 1e9, False),
        ('time', 'f8', RELATIVE_S, False),
    ],
)
def test_time_of_every_kind_becomes_seconds_from_the_stamp(name, kind, values, stamp_at_end):
    layout, data = message({**xyz(11), name: (kind, values)})
    cloud = read_cloud(layout, data, STAMP_NS, stamp_at_end=stamp_at_end)
    wanted = RELATIVE_S if stamp_at_end else RELATIVE_S + 0.1
    np.testing.assert_allclose(points_of(cloud)[:, 4], wanted, atol=1e-6)
    np.testing.assert_allclose(cloud.time_range_s, (wanted[0], wanted[-1]), atol=1e-6)


def test_two_uint32_are_read_as_one_uint64_stamp():
    layout, data = message({**xyz(2), 't': ('u8', np.array([STAMP_NS - 10**8, STAMP_NS], np.uint64))})
    fields = (*layout.fields[:3], PointField('t', layout.fields[3].offset, k.UINT32, 2))
    layout = CloudLayout(fields, 1, 2, layout.point_step, layout.row_step)
    np.testing.assert_allclose(read_cloud(layout, data, STAMP_NS).time_range_s, (-0.1, 0.0), atol=1e-6)


@pytest.mark.parametrize('values', [[12345.0, 12345.1], [1e12, 1e12 + 1], [-np.inf, 0.0], [0.0, 0.9e9 * 3]])
def test_times_that_fit_nothing_are_not_used_and_said(values):
    layout, data = message({**xyz(2), 'time': ('f8', values)})
    cloud = read_cloud(layout, data, STAMP_NS)
    assert cloud.time_range_s is None
    assert any('times per point' in text for text in cloud.warnings)
    np.testing.assert_array_equal(points_of(cloud)[:, 4], 0.0)


def test_a_time_of_nan_does_no_harm():
    layout, data = message({**xyz(3), 'time': ('f4', [-0.1, np.nan, 0.0])})
    assert np.isfinite(points_of(read_cloud(layout, data, STAMP_NS))).all()


@pytest.mark.parametrize(
    ('kind', 'values', 'intensity_max', 'wanted'),
    [
        ('u1', [0, 255], 0.0, [0, 1]),
        ('u2', [0, 65535], 0.0, [0, 1]),
        ('f4', [0.0, 255.0], 0.0, [0, 1]),
        ('f4', [0.25, 0.99], 0.0, [0.25, 0.99]),
        ('u2', [1000, 4000], 4000.0, [0.25, 1]),
        ('f4', [np.nan, 300.0], 0.0, [0, 1]),
        ('f4', [-5.0, 51.0], 0.0, [0, 0.2]),
    ],
)
def test_intensity_becomes_0_to_1(kind, values, intensity_max, wanted):
    layout, data = message({**xyz(2), 'intensity': (kind, values)})
    cloud = read_cloud(layout, data, STAMP_NS, intensity_max=intensity_max)
    np.testing.assert_allclose(points_of(cloud)[:, 3], wanted, atol=1e-6)


def test_intensity_beyond_its_scale_is_said():
    layout, data = message({**xyz(2), 'intensity': ('f4', [0.0, 3000.0])})
    assert any('intensity_max' in text for text in read_cloud(layout, data, STAMP_NS).warnings)


def test_points_that_are_not_finite_or_without_echo_are_dropped_and_counted():
    columns = xyz(6)
    columns['x'][1][:] = [1, np.nan, np.inf, 0, 5, 6]
    columns['y'][1][3], columns['z'][1][3] = 0.0, 0.0
    layout, data = message(columns)
    cloud = read_cloud(layout, data, STAMP_NS)
    assert (cloud.num_not_finite, cloud.num_no_return) == (2, 1)
    assert any('NaN' in text for text in cloud.warnings)
    np.testing.assert_array_equal(points_of(cloud)[:, 0], [1, 5, 6])


def test_an_empty_cloud_is_valid_and_said():
    cloud = read_cloud(CloudLayout((), 0, 0, 0, 0), b'', STAMP_NS)
    assert cloud.warnings == ('cloud with no points',)
    assert points_of(cloud).shape == (0, 5)


def test_nothing_is_copied():
    layout, data = message(xyz(4))
    buffer = bytearray(data)
    cloud = read_cloud(layout, buffer, STAMP_NS)
    buffer[0:4] = np.float32(42.0).tobytes()
    assert cloud.column('x')[0, 0] == 42.0
    assert points_of(cloud)[0, 0] == 42.0


def changed(layout, **values):
    return CloudLayout(**{**vars(layout), **values})


@pytest.mark.parametrize(
    ('change', 'fact'),
    [
        (lambda layout: changed(layout, fields=layout.fields[:2]), 'field z is missing'),
        (lambda layout: changed(layout, fields=(PointField('x', 0, k.UINT8), *layout.fields[1:])), 'FLOAT32'),
        (lambda layout: changed(layout, fields=(PointField('x', 0, 77), *layout.fields[1:])), 'unknown datatype 77'),
        (lambda layout: changed(layout, fields=(PointField('x', 0, k.FLOAT32, 2), *layout.fields[1:])), '2 values'),
        (lambda layout: changed(layout, fields=(PointField('x', 2, k.FLOAT32), *layout.fields[1:])), 'overlap'),
        (lambda layout: changed(layout, fields=(*layout.fields[:2], PointField('z', 10, k.FLOAT32))), 'ends at byte 14'),
        (lambda layout: changed(layout, width=5), 'truncated'),
        (lambda layout: changed(layout, height=2, width=2, row_step=30), 'truncated'),
        (lambda layout: changed(layout, height=2, width=2, row_step=20), 'row_step 20'),
        (lambda layout: changed(layout, width=2, row_step=24), 'width and height'),
        (lambda layout: changed(layout, width=0), 'bytes of data'),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_with_the_fact(change, fact):
    layout, data = message(xyz(4))
    with pytest.raises(InputError, match=fact):
        read_cloud(change(layout), data, STAMP_NS)


def test_a_single_row_may_leave_row_step_at_0():
    layout, data = message(xyz(4))
    assert len(points_of(read_cloud(changed(layout, row_step=0), data, STAMP_NS))) == 4


def test_nuscenes_and_kitti_sweeps_are_read(data_dir):
    for path, columns in (
        (data_dir / 'nuscenes/scene-0061/0/LIDAR_TOP.bin', ('x', 'y', 'z', 'intensity', 'ring')),
        (data_dir / 'kitti/2011_09_26_seq/00.bin', ('x', 'y', 'z', 'intensity')),
    ):
        raw = np.fromfile(path, np.float32).reshape(-1, len(columns))
        fields = tuple(PointField(name, 4 * at, k.FLOAT32) for at, name in enumerate(columns))
        layout = CloudLayout(fields, 1, len(raw), 4 * len(columns), 4 * raw.size)
        cloud = read_cloud(layout, raw, STAMP_NS)
        good = raw[np.any(raw[:, :3] != 0, axis=1)]
        points = points_of(cloud)
        np.testing.assert_array_equal(points[:, :3], good[:, :3])
        assert 0.0 <= points[:, 3].min() < points[:, 3].max() <= 1.0
        np.testing.assert_allclose(points[:, 3], good[:, 3] * cloud.intensity_scale, atol=1e-6)
