"""Follows detections from frame to frame: a Kalman filter for each road user, and one best assignment of all detections.

The state (x, y, vx, vy) lives in the odometry's fixed frame, so that the vehicle's own motion disturbs nothing; without
odometry it lives in base_link, and velocities are then relative to the vehicle. Constant velocity with white acceleration;
assignment by scipy's Hungarian method, gated by Mahalanobis distance and by what a class can become (as in SORT,
Bewley et al. 2016, and AB3DMOT, Weng et al. 2020). All tracks are computed at once.

A velocity that the engine measured, with its covariance, is believed at once: a track begins with it, and what is published is
the mean of it and of what the positions say, weighed by how sure each is. It does not enter the filter: an engine errs alike
from frame to frame, and ten of its velocities tell hardly more than one. Without one, positions have to prove motion.

What an engine remembers though it is out of sight bears no track: it keeps one that was seen from being forgotten.

Letters: n detections, k tracks, t those of them that are told of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Detections, Label, TrackedObject
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.perception.assignment import best_pairs
from moe_bev_ros.perception.class_motion import KIND_COST, KINDS, MOTIONS
from moe_bev_ros.perception.doubles import one_a_place
from moe_bev_ros.perception.motion_proof import TYPICAL_OF, empty_history, really_moves, remembered, typical_box
from moe_bev_ros.perception.track_forecasts import forecasts_of
from moe_bev_ros.perception.track_measurements import LABELS, Measurements, doubled, measurements_of, moved_boxes

Ints = NDArray[np.int64]

GATE_SIGMAS = 3.5
STAND_STILL_SIGMAS = 1.5
COASTING_PROOFS = 5
MAX_JUMP_M = 2.0
HIDDEN_POSITION_M = 1.0  # deviation of the position of what is out of sight
ALL_SCORES: Mapping[Label, float] = {}
MOVING_MPS = 0.2  # of a measured velocity; what is slower stands


@dataclass(frozen=True)
class TrackerConfig:
    """When tracks are born, believed and forgotten.

    Attributes:
        confirm_hits: detections after which a track outlives frames without one.
        max_missed: frames for which a confirmed track is kept without a detection, so that a person whom a car hides is
            remembered.
        max_missed_unknown: likewise for what has no class.
        size_gain: how fast a box follows a smaller measured size; a larger one is believed three times as fast.
    """

    confirm_hits: int = 3
    max_missed: int = 15
    max_missed_unknown: int = 3
    size_gain: float = 0.1

    def __post_init__(self) -> None:
        if self.confirm_hits < 1 or self.max_missed < 0 or self.max_missed_unknown < 0 or not 0 < self.size_gain <= 1:
            raise ValueError(f'confirm_hits >= 1, max_missed >= 0, size_gain in (0, 1] wanted, got {self}')


@dataclass
class _Tracks:
    """All tracks as arrays, in the fixed frame: ``box_k5`` is z, length, width, height, yaw; ``rest_k5`` is x, y, length,
    width, yaw of what stands."""

    track_id: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    state_k4: Array = field(default_factory=lambda: np.zeros((0, 4)))
    covariance_k44: Array = field(default_factory=lambda: np.zeros((0, 4, 4)))
    box_k5: Array = field(default_factory=lambda: np.zeros((0, 5)))
    told_k2: Array = field(default_factory=lambda: np.zeros((0, 2)))  # velocity with this frame's measured one; NaN: none
    birth_k2: Array = field(default_factory=lambda: np.zeros((0, 2)))
    rest_k5: Array = field(default_factory=lambda: np.zeros((0, 5)))
    history_kh6: Array = field(default_factory=lambda: empty_history(0))
    proofs: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # measurements in a row that show that it moves
    votes_kl: Array = field(default_factory=lambda: np.zeros((0, len(Label))))
    score: Array = field(default_factory=lambda: np.zeros(0))
    age: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    hits: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    missed: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    alone: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # frames since it was seen or remembered by the engine
    hint: Array = field(default_factory=lambda: np.zeros(0))  # score of that memory; 0 once it is seen again
    source: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # index of this frame's detection, or -1

    def __len__(self) -> int:
        return len(self.track_id)

    def take(self, chosen: NDArray[np.bool_]) -> _Tracks:
        return _Tracks(*(values[chosen] for values in vars(self).values()))

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(*(np.concatenate([a, b]) for a, b in zip(vars(self).values(), vars(other).values())))


_KIND_OF_LABEL = np.array([KINDS[id(MOTIONS[label])] for label in LABELS])
_ACCELERATION, _INITIAL_SPEED, _POSITION, _GATE_M, _MAX_SPEED, _PROOF_M, _WAY_M = (
    np.array([getattr(MOTIONS[label], name) for label in LABELS])
    for name in ('acceleration', 'initial_speed', 'position', 'gate_m', 'max_speed', 'proof_m', 'way_m')
)
FARTHEST_M = float(_GATE_M.max())


class Tracker:
    """Gives detections an identity, a velocity and a future."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every track; ids go on, so that none is used twice."""
        self._tracks = _Tracks()
        self._stamp_ns: int | None = None
        self._ego: EgoMotion | None = None

    def update(
        self,
        detections: Detections,
        stamp_ns: int,
        ego: EgoMotion | None,
        least_scores: Mapping[Label, float] = ALL_SCORES,
    ) -> tuple[TrackedObject, ...]:
        """Take the detections of one frame and return the tracks as they are now.

        Args:
            detections: in base_link; those whose box is not finite are left out.
            stamp_ns: of the frame; a stamp that is not newer than the last one forgets everything.
            ego: pose of the vehicle at that stamp; None without odometry.
            least_scores: tracks of a lower score for their class are followed and not returned; 0 for a class that it lacks.

        Returns:
            Objects in base_link; velocities over ground (relative to the vehicle without odometry), in base_link's axes.
        """
        if self._stamp_ns is None or stamp_ns <= self._stamp_ns or self._fixed_frame_broke(stamp_ns, ego):
            self.reset()
        elapsed_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        self._stamp_ns, self._ego = stamp_ns, ego
        fixed_se3_base_link = np.eye(4) if ego is None else ego.odom_se3_base_link
        found = measurements_of(detections, None if ego is None else ego.odom_se3_base_link)
        is_place_n = np.isfinite(found.box_n7).all(axis=1)  # what stands nowhere is no detection
        seen = one_a_place(found.take(is_place_n & ~detections.is_hidden_n))
        hidden = found.take(is_place_n & detections.is_hidden_n)
        self._predict(elapsed_s)
        track_of_s = self._assign(seen)
        self._correct(seen.take(track_of_s >= 0), track_of_s[track_of_s >= 0])
        self._remind(hidden)
        self._bury()
        self._bear(seen.take(track_of_s < 0))
        return self._objects(inverse(fixed_se3_base_link), detections, least_scores)

    def _fixed_frame_broke(self, stamp_ns: int, ego: EgoMotion | None) -> bool:
        """Whether odometry came, went, changed its frame or jumped, so that old positions mean nothing any more."""
        before = self._ego
        if before is None or ego is None:
            return (before is None) != (ego is None) and self._stamp_ns is not None
        if before.frame_id != ego.frame_id:
            return True
        moved_m = float(np.linalg.norm(ego.odom_se3_base_link[:2, 3] - before.odom_se3_base_link[:2, 3]))
        elapsed_s = (stamp_ns - (self._stamp_ns or stamp_ns)) / 1e9
        fastest_mps = max(abs(ego.speed_mps), abs(before.speed_mps))
        return moved_m > MAX_JUMP_M + 1.5 * fastest_mps * elapsed_s

    def _predict(self, elapsed_s: float) -> None:
        tracks = self._tracks
        if not len(tracks):
            return
        transition = np.eye(4)
        transition[0, 2] = transition[1, 3] = elapsed_s
        noise_44 = np.diag(np.repeat([elapsed_s**4 / 4, elapsed_s**2], 2))
        noise_44[[0, 1, 2, 3], [2, 3, 0, 1]] = elapsed_s**3 / 2
        acceleration_k = _ACCELERATION[tracks.votes_kl.argmax(axis=1)]
        # What is out of sight goes on only where it is known to move; else it is where it was seen last.
        is_parked_k = (tracks.missed > 0) & ~self._moves()
        tracks.state_k4[is_parked_k, 2:] = 0.0
        tracks.state_k4 = tracks.state_k4 @ transition.T
        tracks.covariance_k44 = transition @ tracks.covariance_k44 @ transition.T
        tracks.covariance_k44 += noise_44 * acceleration_k[:, None, None] ** 2
        tracks.age += 1
        tracks.missed += 1
        tracks.alone += 1
        tracks.source[:] = -1
        tracks.told_k2[:] = np.nan

    def _assign(self, found: Measurements, *, only_missed: bool = False) -> Ints:
        """Index of the track that each detection continues, or -1; if asked, only of those not seen in this frame."""
        track_of_n = np.full(len(found), -1, np.int64)
        is_free_k = self._tracks.missed > 0 if only_missed else np.ones(len(self._tracks), bool)
        if is_free_k.any() and len(found):
            k, n = best_pairs(*self._possible_pairs(found, np.flatnonzero(is_free_k)))
            track_of_n[n] = k
        return track_of_n

    def _possible_pairs(self, found: Measurements, free_f: Ints) -> tuple[Ints, Ints, Array]:
        """Tracks and detections that can belong together, and how unlike they are [sigmas]; of the tracks ``free_f``."""
        tracks, xy_n2 = self._tracks, found.box_n7[:, :2]
        # Few pairs are near each other: everything is computed for those alone.
        near = cKDTree(tracks.state_k4[free_f, :2]).sparse_distance_matrix(cKDTree(xy_n2), FARTHEST_M, output_type='ndarray')
        k, n = free_f[near['i']], near['j']
        label_k = tracks.votes_kl.argmax(axis=1)
        is_near_p = near['v'] < np.maximum(_GATE_M[label_k[k]], _GATE_M[found.label_n[n]])
        k, n = k[is_near_p], n[is_near_p]
        offset_p2, variance_p = xy_n2[n] - tracks.state_k4[k, :2], _POSITION[found.label_n[n]] ** 2
        sigmas_p = _mahalanobis(offset_p2, tracks.covariance_k44[k, :2, :2], variance_p)
        sigmas_p += KIND_COST[_KIND_OF_LABEL[label_k[k]], _KIND_OF_LABEL[found.label_n[n]]]
        is_possible_p = sigmas_p < GATE_SIGMAS
        return k[is_possible_p], n[is_possible_p], sigmas_p[is_possible_p]

    def _correct(self, found: Measurements, k: Ints) -> None:
        """Take the measurement of each of the tracks ``k``."""
        if not len(k):
            return
        tracks, tells = self._tracks, found.tells_velocity_n
        self._filter(k, found.box_n7[:, :2], _POSITION[found.label_n])
        told, sure = k[tells], found.take(tells)
        tracks.told_k2[told] = sure.mean_velocity(tracks.state_k4[told, 2:], tracks.covariance_k44[told, 2:, 2:])
        tracks.votes_kl[k] *= 0.9
        tracks.votes_kl[k] += found.votes_nl
        tracks.score[k] += 0.3 * (found.score_n - tracks.score[k])
        tracks.hits[k] += 1
        tracks.missed[k] = tracks.alone[k] = 0
        tracks.hint[k] = 0.0
        tracks.source[k] = found.index_n
        tracks.history_kh6[k] = remembered(tracks.history_kh6[k], (self._stamp_ns or 0) / 1e9, found.footprint_n5)
        self._smooth_boxes(k, found.box_n7)
        self._judge_motion(k, tells)

    def _remind(self, hidden: Measurements) -> None:
        """What the engine says to be there out of sight moves and keeps the tracks that were not seen."""
        track_of_h = self._assign(hidden, only_missed=True)
        k, hidden = track_of_h[track_of_h >= 0], hidden.take(track_of_h >= 0)
        self._filter(k, hidden.box_n7[:, :2], np.full(len(k), HIDDEN_POSITION_M))
        self._tracks.alone[k] = 0
        self._tracks.hint[k] = hidden.score_n
        self._tracks.source[k] = hidden.index_n

    def _filter(self, k: Ints, xy_m2: Array, deviation_m: Array) -> None:
        """Kalman's correction of tracks ``k`` by measured positions."""
        tracks = self._tracks
        covariance_m44 = tracks.covariance_k44[k]
        innovation_m22 = covariance_m44[:, :2, :2] + np.eye(2) * deviation_m[:, None, None] ** 2
        gain_m42 = covariance_m44[:, :, :2] @ np.linalg.inv(innovation_m22)
        error_m2 = xy_m2 - tracks.state_k4[k, :2]
        tracks.state_k4[k] += np.einsum('mij,mj->mi', gain_m42, error_m2)
        corrected_m44 = covariance_m44 - gain_m42 @ covariance_m44[:, :2, :]
        tracks.covariance_k44[k] = (corrected_m44 + corrected_m44.transpose(0, 2, 1)) / 2

    def _smooth_boxes(self, k: Ints, measured_m7: Array) -> None:
        box_m5, typical_m5 = self._tracks.box_k5[k], typical_box(self._tracks.history_kh6[k])
        box_m5[:, 0] += 0.3 * (measured_m7[:, 2] - box_m5[:, 0])
        # A laser sees the box's heading but not which end is the front: take the end nearer to what is believed.
        box_m5[:, 4] += (typical_m5[:, 4] - box_m5[:, 4] + np.pi / 2) % np.pi - np.pi / 2
        velocity_m2 = self._tracks.state_k4[k, 2:]
        forward_m = velocity_m2[:, 0] * np.cos(box_m5[:, 4]) + velocity_m2[:, 1] * np.sin(box_m5[:, 4])
        box_m5[:, 4] += np.where(forward_m < -1.0, np.pi, 0.0)
        error_m3 = np.column_stack([typical_m5[:, 2:4], measured_m7[:, 5]]) - box_m5[:, 1:4]
        gain_m3 = np.where(error_m3 > 0, min(3 * self.config.size_gain, 1.0), self.config.size_gain)
        is_young_m = self._tracks.hits[k] <= TYPICAL_OF  # what was first taken for one thing may be two
        box_m5[:, 1:4] += np.where(is_young_m[:, None], 1.0, gain_m3) * error_m3
        self._tracks.rest_k5[k] = typical_m5
        self._tracks.box_k5[k] = box_m5

    def _bury(self) -> None:
        tracks = self._tracks
        is_unknown_k = np.array(LABELS)[tracks.votes_kl.argmax(axis=1)] == Label.UNKNOWN
        allowed_k = np.where(is_unknown_k, self.config.max_missed_unknown, self.config.max_missed)
        # Nothing is remembered for longer than it was seen: three views of a passing car are no car that stands there.
        allowed_k = np.minimum(allowed_k, tracks.hits)
        allowed_k = np.where(tracks.hits >= self.config.confirm_hits, allowed_k, 0)
        self._tracks = tracks.take(tracks.alone <= allowed_k)

    def _bear(self, found: Measurements) -> None:
        num, label_n = len(found), found.label_n
        covariance_n44 = np.zeros((num, 4, 4))
        covariance_n44[:, [0, 1], [0, 1]] = _POSITION[label_n][:, None] ** 2
        covariance_n44[:, [2, 3], [2, 3]] = _INITIAL_SPEED[label_n][:, None] ** 2
        born = _Tracks(
            track_id=np.arange(self._next_id, self._next_id + num),
            state_k4=found.state_n4,
            covariance_k44=np.where(found.tells_velocity_n[:, None, None], found.noise_n44, covariance_n44),
            box_k5=found.box_n7[:, 2:].copy(),
            told_k2=np.where(found.tells_velocity_n[:, None], found.velocity_n2, np.nan),
            birth_k2=found.box_n7[:, :2].copy(),
            rest_k5=found.footprint_n5,
            history_kh6=remembered(empty_history(num), (self._stamp_ns or 0) / 1e9, found.footprint_n5),
            proofs=(found.tells_velocity_n & _measured_to_move(found.state_n4[:, 2:], label_n)).astype(np.int64),
            votes_kl=found.votes_nl,
            score=found.score_n.astype(float),
            age=np.ones(num, np.int64),
            hits=np.ones(num, np.int64),
            missed=np.zeros(num, np.int64),
            alone=np.zeros(num, np.int64),
            hint=np.zeros(num),
            source=found.index_n,
        )
        self._next_id += num
        self._tracks = self._tracks.joined(born)

    def _objects(
        self, base_link_se3_fixed: Array, detections: Detections, least_scores: Mapping[Label, float]
    ) -> tuple[TrackedObject, ...]:
        # A track that is only remembered is believed less from frame to frame.
        tracks = self._tracks
        score_k = np.clip(np.maximum(tracks.score * 0.9**tracks.missed, tracks.hint * 0.9**tracks.alone), 0, 1)
        label_k = tracks.votes_kl.argmax(axis=1)
        told_t = np.flatnonzero(score_k >= np.array([least_scores.get(label, 0.0) for label in LABELS])[label_k])
        rotation_22 = base_link_se3_fixed[:2, :2]
        turn_44 = doubled(rotation_22)
        covariance_t44 = (turn_44 @ tracks.covariance_k44[told_t] @ turn_44.T).astype(np.float32)
        box_t7 = moved_boxes(self._believed_boxes(told_t), base_link_se3_fixed).astype(np.float32)
        velocity_t2 = (self._believed_velocity(told_t) @ rotation_22.T).astype(np.float32)
        forecasts_t = forecasts_of(tracks.source[told_t], detections, box_t7, velocity_t2)
        numbers = (tracks.track_id, label_k, score_k, tracks.age, tracks.missed)
        return tuple(
            TrackedObject(track_id, LABELS[label], score, box_7, velocity_2, covariance_44, 0.0, age, missed, forecasts)
            for track_id, label, score, age, missed, box_7, velocity_2, covariance_44, forecasts in zip(
                *(values[told_t].tolist() for values in numbers), box_t7, velocity_t2, covariance_t44, forecasts_t
            )
        )

    def _believed_boxes(self, t: Ints) -> Array:
        """(T, 7) in the fixed frame."""
        # What stands is as it was measured most: the filter's place and size follow every flicker.
        tracks = self._tracks
        moving_t7, resting_t7 = (
            np.column_stack([tracks.state_k4[t, :2], tracks.box_k5[t]]),
            tracks.rest_k5[t][:, [0, 1, 1, 2, 3, 3, 4]],
        )
        resting_t7[:, [2, 5]] = moving_t7[:, [2, 5]]
        turn_t = (resting_t7[:, 6] - moving_t7[:, 6] + np.pi / 2) % np.pi - np.pi / 2
        resting_t7[:, 6] = moving_t7[:, 6] + turn_t
        return np.where(self._moves()[t, None], moving_t7, resting_t7)

    def _judge_motion(self, k: Ints, tells_m: NDArray[np.bool_]) -> None:
        """Decide which of the tracks that were just seen move; the others keep what was decided when they were last seen.

        Args:
            tells_m: whose velocity was measured.
        """
        tracks = self._tracks
        velocity_m2 = tracks.state_k4[k, 2:]
        deviation_m = np.sqrt(tracks.covariance_k44[k][:, [2, 3], [2, 3]].mean(axis=1))
        speed_m = np.hypot(velocity_m2[:, 0], velocity_m2[:, 1])
        label_m = tracks.votes_kl[k].argmax(axis=1)
        is_moving_m = (speed_m > STAND_STILL_SIGMAS * deviation_m) & (tracks.hits[k] >= self.config.confirm_hits)
        is_moving_m &= speed_m <= _MAX_SPEED[label_m]
        is_moving_m &= np.linalg.norm(tracks.state_k4[k, :2] - tracks.birth_k2[k], axis=1) >= _PROOF_M[label_m]
        in_doubt_d = np.flatnonzero(is_moving_m & ~tells_m)
        is_moving_m[in_doubt_d] = really_moves(
            tracks.history_kh6[k[in_doubt_d]], velocity_m2[in_doubt_d], _WAY_M[label_m[in_doubt_d]]
        )
        is_moving_m = np.where(tells_m, _measured_to_move(tracks.told_k2[k], label_m), is_moving_m)
        tracks.proofs[k] = np.where(is_moving_m, tracks.proofs[k] + 1, 0)

    def _moves(self) -> NDArray[np.bool_]:
        """Which tracks are known to move; of those out of sight, only what was seen to move for a while."""
        return np.asarray(self._tracks.proofs >= np.where(self._tracks.missed > 0, COASTING_PROOFS, 1))

    def _believed_velocity(self, t: Ints) -> Array:
        """(T, 2) velocity in the fixed frame; 0 where there is no proof that it moves."""
        told_t2 = self._tracks.told_k2[t]
        velocity_t2 = np.where(np.isnan(told_t2), self._tracks.state_k4[t, 2:], told_t2)
        return np.where(self._moves()[t, None], velocity_t2, 0.0)


def _measured_to_move(velocity_n2: Array, label_n: Ints) -> NDArray[np.bool_]:
    """Which measured velocities are those of something that moves, and that a class can have."""
    speed_n = np.hypot(velocity_n2[:, 0], velocity_n2[:, 1])
    return np.asarray((speed_n > MOVING_MPS) & (speed_n <= _MAX_SPEED[label_n]))


def _mahalanobis(offset_p2: Array, covariance_p22: Array, variance_p: Array) -> Array:
    """(P,) length of the offsets in deviations; ``variance_p`` [m2] comes on top of the covariance. Written out for 2 x 2."""
    x_p, y_p, xy_p = covariance_p22[:, 0, 0] + variance_p, covariance_p22[:, 1, 1] + variance_p, covariance_p22[:, 0, 1]
    dx_p, dy_p = offset_p2.T
    square_p = (y_p * dx_p**2 - 2.0 * xy_p * dx_p * dy_p + x_p * dy_p**2) / (x_p * y_p - xy_p**2)
    return np.sqrt(np.maximum(square_p, 0.0))
