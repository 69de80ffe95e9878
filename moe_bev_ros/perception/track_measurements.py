"""Detections as measurements of tracks: in the fixed frame, with the velocities that an engine measured and how sure it is.

Letters: n detections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import Array, yaw_of

Ints = NDArray[np.int64]

LABELS = tuple(Label)
_NO_LABEL = -1
_INDEX_OF_LABEL = np.full(256, _NO_LABEL, np.int64)
_INDEX_OF_LABEL[[int(label) for label in LABELS]] = np.arange(len(LABELS))
# An engine errs alike from frame to frame: however sure it is of one, measurements are not better than these deviations.
LEAST_POSITION_M = 0.1
LEAST_VELOCITY_MPS = 0.1
DOUBT = 0.5
PEDESTRIAN = LABELS.index(Label.PEDESTRIAN)
_LEAST_4 = np.array([LEAST_POSITION_M, LEAST_POSITION_M, LEAST_VELOCITY_MPS, LEAST_VELOCITY_MPS])


@dataclass(frozen=True)
class Measurements:
    """What was detected in one frame, in the fixed frame.

    Attributes:
        index_n: of the detection.
        box_n7: x, y, z, length, width, height [m], yaw [rad].
        label_n: indices into LABELS.
        votes_nl: how much it speaks for each of LABELS; from the detection, its score for its label.
        tells_velocity_n: whose velocity over ground, with its covariance, is a measurement.
        velocity_n2: [m/s]; 0 where not measured.
        noise_n44: covariance of x, y, vx, vy [m, m/s]; 0 where not measured.
    """

    index_n: Ints
    box_n7: Array
    label_n: Ints
    score_n: NDArray[np.float32]
    votes_nl: Array
    tells_velocity_n: NDArray[np.bool_]
    velocity_n2: Array
    noise_n44: Array

    def __len__(self) -> int:
        return len(self.index_n)

    def take(self, chosen: NDArray[np.bool_] | Ints) -> Measurements:
        """Some of them."""
        return Measurements(*(values[chosen] for values in vars(self).values()))

    @property
    def state_n4(self) -> Array:
        """(N, 4) x, y, vx, vy."""
        return np.column_stack([self.box_n7[:, :2], self.velocity_n2])

    @property
    def footprint_n5(self) -> Array:
        """(N, 5) x, y, length, width, yaw."""
        return self.box_n7[:, [0, 1, 3, 4, 6]]

    def mean_velocity(self, velocity_n2: Array, covariance_n22: Array) -> Array:
        """(N, 2) mean of the measured velocities and others, weighed by their covariances.

        Where they differ, DOUBT of the difference is added to the deviation of a pedestrian's measured one: of somebody who
        stood and sets off a network goes on to say for most of a second that he stands.
        """
        offset_n2 = self.velocity_n2 - velocity_n2
        doubt_n = np.where(self.label_n == PEDESTRIAN, DOUBT**2, 0.0) * (offset_n2**2).sum(axis=1)
        gain_n22 = covariance_n22 @ np.linalg.inv(
            covariance_n22 + self.noise_n44[:, 2:, 2:] + doubt_n[:, None, None] * np.eye(2)
        )
        return np.asarray(velocity_n2 + np.einsum('nij,nj->ni', gain_n22, offset_n2))


def measurements_of(detections: Detections, fixed_se3_base_link: Array | None) -> Measurements:
    """Take detections to the fixed frame.

    Args:
        fixed_se3_base_link: None without odometry: boxes stay in base_link, and velocities over ground say nothing of how they
            move there.

    Raises:
        ValueError: a label is none of Label.
    """
    label_n = _INDEX_OF_LABEL[detections.labels_n]
    if (label_n == _NO_LABEL).any():
        raise ValueError(f'labels must be values of Label, got {sorted(set(detections.labels_n.tolist()))}')
    votes_nl = (label_n[:, None] == np.arange(len(LABELS))) * detections.scores_n[:, None].astype(float)
    num, pose = len(detections), np.eye(4) if fixed_se3_base_link is None else fixed_se3_base_link
    tells_velocity_n, velocity_n2, noise_n44 = np.zeros(num, bool), np.zeros((num, 2)), np.zeros((num, 4, 4))
    if detections.covariances_n44 is not None and fixed_se3_base_link is not None:
        is_finite_n = np.isfinite(detections.covariances_n44).all(axis=(1, 2))
        tells_velocity_n = np.isfinite(detections.velocities_n2).all(axis=1) & is_finite_n
        rotation_22 = pose[:2, :2]
        turn_44 = doubled(rotation_22)
        velocity_n2[tells_velocity_n] = detections.velocities_n2[tells_velocity_n] @ rotation_22.T
        noise_n44[tells_velocity_n] = turn_44 @ detections.covariances_n44[tells_velocity_n] @ turn_44.T + np.diag(_LEAST_4**2)
    return Measurements(
        np.arange(num),
        moved_boxes(detections.boxes_n7.astype(float), pose),
        label_n,
        detections.scores_n,
        votes_nl,
        tells_velocity_n,
        velocity_n2,
        noise_n44,
    )


def doubled(rotation_22: Array) -> Array:
    """(4, 4) matrix that turns x, y and vx, vy alike."""
    turn_44 = np.zeros((4, 4))
    turn_44[:2, :2] = turn_44[2:, 2:] = rotation_22
    return turn_44


def moved_boxes(boxes_n7: Array, a_se3_b: Array) -> Array:
    """Boxes in frame a, given in frame b; frames differ by a motion that keeps boxes upright."""
    result = boxes_n7.copy()
    result[:, :3] = boxes_n7[:, :3] @ a_se3_b[:3, :3].T + a_se3_b[:3, 3]
    result[:, 6] = (boxes_n7[:, 6] + yaw_of(a_se3_b) + np.pi) % (2 * np.pi) - np.pi
    return result
