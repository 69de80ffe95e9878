"""sensor_msgs/PointCloud2 to the values of ``perception`` and back (sensor_msgs_py is not on PyPI, and copies)."""

from __future__ import annotations

from sensor_msgs.msg import PointCloud2
from sensor_msgs.msg import PointField as PointFieldMsg

from moe_bev_ros.core.frame import LidarPoints
from moe_bev_ros.nodes.base import stamp_to_ns
from moe_bev_ros.nodes.convert import BASE_LINK, header, uint8_array
from moe_bev_ros.perception.point_cloud import CloudLayout, PointCloud, PointField, read_cloud

SWEEP_FIELDS = [
    PointFieldMsg(name=name, offset=4 * index, datatype=PointFieldMsg.FLOAT32, count=1)
    for index, name in enumerate(('x', 'y', 'z', 'intensity', 'time'))
]


def cloud_from_msg(message: PointCloud2, *, intensity_max: float = 0.0, stamp_at_end: bool = True) -> PointCloud:
    """PointCloud2 to PointCloud; the points are not copied. ``is_dense`` is not trusted: every point is checked.

    Raises:
        InputError: see ``read_cloud``.
    """
    layout = CloudLayout(
        fields=tuple(PointField(field.name, field.offset, field.datatype, field.count) for field in message.fields),
        height=message.height,
        width=message.width,
        point_step=message.point_step,
        row_step=message.row_step,
        is_bigendian=message.is_bigendian,
    )
    stamp_ns = stamp_to_ns(message.header.stamp)
    return read_cloud(layout, message.data, stamp_ns, intensity_max=intensity_max, stamp_at_end=stamp_at_end)


def points_to_msg(points: LidarPoints, stamp_ns: int) -> PointCloud2:
    """LidarPoints to PointCloud2 in base_link, for rviz."""
    num = len(points.points_n5)
    return PointCloud2(
        header=header(stamp_ns, BASE_LINK),
        height=1,
        width=num,
        fields=SWEEP_FIELDS,
        point_step=20,
        row_step=20 * num,
        is_dense=True,
        data=uint8_array(points.points_n5),
    )
