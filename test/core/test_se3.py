import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_bev_ros.core.se3 import (
    interpolate,
    inverse,
    quaternion_xyzw_of,
    se3_from_quaternion,
    se3_from_xyz_rpy,
    transform_points,
    wrap_angle,
    yaw_of,
)

angles = st.floats(-3.1, 3.1)
metres = st.floats(-100, 100)
poses = st.builds(se3_from_xyz_rpy, metres, metres, metres, angles, st.floats(-1.5, 1.5), angles)


@given(poses)
def test_inverse_undoes_a_pose(pose: np.ndarray) -> None:
    np.testing.assert_allclose(inverse(pose) @ pose, np.eye(4), atol=1e-9)


@given(poses)
def test_quaternion_there_and_back(pose: np.ndarray) -> None:
    np.testing.assert_allclose(se3_from_quaternion(pose[:3, 3], quaternion_xyzw_of(pose)), pose, atol=1e-9)


@given(poses, poses)
def test_points_move_as_poses_compose(a_se3_b: np.ndarray, b_se3_c: np.ndarray) -> None:
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 0.5, 0.0]])
    in_two_steps = transform_points(a_se3_b, transform_points(b_se3_c, points))
    np.testing.assert_allclose(in_two_steps, transform_points(a_se3_b @ b_se3_c, points), atol=1e-9)


def test_transform_keeps_float32() -> None:
    assert transform_points(np.eye(4), np.zeros((3, 3), np.float32)).dtype == np.float32


def test_interpolation_meets_both_ends_and_goes_on_beyond() -> None:
    start, end = se3_from_xyz_rpy(0, 0, 0, 0, 0, 0), se3_from_xyz_rpy(2, 0, 0, 0, 0, 0.2)
    np.testing.assert_allclose(interpolate(start, end, 0.0), start, atol=1e-12)
    np.testing.assert_allclose(interpolate(start, end, 1.0), end, atol=1e-12)
    assert yaw_of(interpolate(start, end, 1.5)) == pytest.approx(0.3)


@given(st.floats(-50, 50))
def test_a_wrapped_angle_points_the_same_way(angle: float) -> None:
    wrapped = wrap_angle(angle)
    assert -np.pi <= wrapped < np.pi
    assert np.cos(wrapped) == pytest.approx(np.cos(angle), abs=1e-9)


def test_a_quaternion_of_norm_zero_is_refused() -> None:
    with pytest.raises(ValueError, match='norm 0'):
        se3_from_quaternion((0, 0, 0), (0, 0, 0, 0))


def test_a_pose_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match='finite'):
        se3_from_quaternion((np.nan, 0, 0), (0, 0, 0, 1))
