"""Trains and judges the rows of an ablation, one after another; what is finished is not done again.

In the folder: ``first/`` with the network that all begin with, ``weights/`` with those of each row and seed, ``rows/`` with the
figures of each row and seed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.datasets.worker_processes import run_jobs
from moe_bev_ros.evaluation.ablation.engine import SceneJob, SceneRun, median_ms, run_scene
from moe_bev_ros.evaluation.ablation.files import RowRun, load_row, save_row
from moe_bev_ros.evaluation.ablation.summary import ablation_summary
from moe_bev_ros.evaluation.perception.judge import judge, scene_tally, without_nan
from moe_bev_ros.evaluation.strata import RESAMPLES
from moe_bev_ros.learning.ablation_rows import (
    REFERENCE,
    Row,
    ablation_rows,
    first_config,
    first_training,
    row_training,
    spent_attention_macs,
)
from moe_bev_ros.learning.first_weights import Weights
from moe_bev_ros.learning.train import train
from moe_bev_ros.learning.train_config import TrainConfig
from moe_bev_ros.learning.tree_drives import TreeSource
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.memory_baselines import half_bytes, memory_of
from moe_bev_ros.model.weights_file import load_weights

Say = Callable[[str], None]
SHARED_PARTS = ('camera_encoder.', 'lidar_encoder.', 'lift.', 'camera.', 'lidar.', 'fused.', 'poor_sight.', 'heads.')


@dataclass(frozen=True)
class Plan:
    """What is compared, on what.

    Attributes:
        config: of the reference.
        training: from which budgets and seeds differ.
        scenes: of ``tree``, to be judged.
        first_frames, frames: that the common network and each row learn from.
        workers: processes that judge scenes.
        shared_weights: of a trained network whose SHARED_PARTS, which no row is about, the common one takes; None: nothing.
    """

    config: ModelConfig
    training: TrainConfig
    train_tree: NuscenesTree
    tree: NuscenesTree
    scenes: tuple[str, ...]
    out: Path
    first_frames: int
    frames: int
    seeds: tuple[int, ...] = (0,)
    resamples: int = RESAMPLES
    workers: int = 1
    shared_weights: Path | None = None

    def about(self, row: Row, seed: int) -> dict[str, Any]:
        """What makes a finished row worthless if it changes."""
        return {
            'config': {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(row.config).items()},
            'experts': list(row.experts),
            'seed': seed,
            'first_frames': self.first_frames,
            'frames': self.frames,
            'shared_weights': ''
            if self.shared_weights is None
            else hashlib.sha256(self.shared_weights.read_bytes()).hexdigest(),
            'train_scenes': len(self.train_tree.scenes('')),
            'scenes': list(self.scenes),
        }


def chosen_rows(config: ModelConfig, names: Sequence[str]) -> tuple[Row, ...]:
    """The reference and the rows of these names, or of these parts; none: all.

    Raises:
        InputError: there is no such row.
    """
    rows = ablation_rows(config)
    unknown = set(names) - {name for row in rows for name in (row.name, row.slug, row.part)}
    if unknown:
        raise InputError(f'no row {", ".join(sorted(unknown))}; there are {", ".join(row.slug for row in rows)}')
    return tuple(row for row in rows if not names or row.name == REFERENCE or {row.name, row.slug, row.part} & set(names))


def ablation(plan: Plan, rows: Sequence[Row], say: Say) -> dict[str, Any] | None:
    """The table of these rows; None if it was interrupted.

    Raises:
        InputError: a finished row was made with other settings, or the training or a file fails.
    """
    runs: dict[str, list[RowRun]] = {row.name: [] for row in rows}
    for seed in plan.seeds:
        for row in rows:
            run = _finished(plan, row, seed, say)
            if run is None:
                return None
            runs[row.name].append(run)
    return ablation_summary(ablation_rows(plan.config), runs, plan.resamples)


def _finished(plan: Plan, row: Row, seed: int, say: Say) -> RowRun | None:
    """A row from its file, or made; None if it was interrupted."""
    path = plan.out / 'rows' / f'{row.slug}_seed{seed}.json'
    known = load_row(path, plan.about(row, seed))
    if known is not None:
        return known
    say(f'row {row.name}, seed {seed}')
    weights = _row_weights(plan, row, seed, say)
    if weights is None:
        return None
    run = _judged(plan, row, seed, weights, say)
    save_row(path, run)
    say(f'row {row.name}, seed {seed}: NDS {run.figures["nds"]:.4f}, {run.figures["ms"]:.1f} ms')
    return run


def _row_weights(plan: Plan, row: Row, seed: int, say: Say) -> Path | None:
    """Trained, if no row of the same config has been; None if it was interrupted."""
    shared = next(other for other in ablation_rows(plan.config) if other.config == row.config)
    folder = plan.out / 'weights' / f'{shared.slug}_seed{seed}'
    known = folder / f'{row.config.name}.safetensors'
    if known.is_file():
        return known
    first = _first_weights(plan, say)
    if first is None:
        return None
    return _trained(plan, row.config, row_training(plan.training, plan.frames, seed), folder, say, first)


def _first_weights(plan: Plan, say: Say) -> Weights | None:
    config = first_config(plan.config)
    path: Path | None = plan.out / 'first' / f'{config.name}.safetensors'
    assert path is not None
    if not path.is_file():
        say(f'the network that all rows begin with: {plan.first_frames} frames')
        shared = None if plan.shared_weights is None else shared_parts(plan.shared_weights)
        path = _trained(plan, config, first_training(plan.training, plan.first_frames), path.parent, say, shared)
    return None if path is None else load_weights(path).state_dict()


def shared_parts(path: Path) -> Weights:
    """Of a file of weights, SHARED_PARTS."""
    weights = load_weights(path).state_dict()
    return {name: value for name, value in weights.items() if name.startswith(SHARED_PARTS)}


def _trained(
    plan: Plan, config: ModelConfig, training: TrainConfig, folder: Path, say: Say, first: Weights | None
) -> Path | None:
    source = TreeSource(plan.train_tree, '', (config.image_width, config.image_height))
    return train(config, training, source, folder, say, first)


def _judged(plan: Plan, row: Row, seed: int, weights: Path, say: Say) -> RowRun:
    where = (str(plan.tree.root), plan.tree.version)
    jobs = [SceneJob(*where, scene, str(weights), row.experts) for scene in plan.scenes]
    found = run_jobs(run_scene, jobs, plan.workers) if plan.workers > 1 else map(run_scene, jobs)
    by_name: dict[str, SceneRun] = {}
    for run in found:
        by_name[run.seen.name] = run
        if len(by_name) % 10 == 0 or len(by_name) == len(jobs):
            say(f'{row.name}: {len(by_name)} of {len(jobs)} scenes judged')
    runs = [by_name[scene] for scene in plan.scenes]
    judgement = judge(plan.tree, [run.seen for run in runs], resamples=1)
    assert judgement.detections is not None
    figures = {'name': row.name, 'plan': plan.about(row, seed), **_costs(row, runs), **judgement.results}
    tallies = tuple(scene_tally(run.seen) for run in runs)
    return RowRun(without_nan(figures), judgement.detections.table, tallies)


def _costs(row: Row, runs: list[SceneRun]) -> dict[str, Any]:
    config = row.config
    looks = row.experts != ('lidar',)
    held = half_bytes(memory_of(config).empty(1))
    sweeps = [held_bytes for run in runs for held_bytes in run.sweep_bytes]
    return {
        'attention_macs': spent_attention_macs(config) if looks else 0,
        'bytes': held + int(np.mean(sweeps)),
        'ms': median_ms(runs),
        'routing_share': sum(run.router_ms for run in runs) / sum(run.network_ms for run in runs),
        'mean_active_experts': float(np.mean([number for run in runs for number in run.num_experts])),
        'routers': [{'condition': run.seen.traits.get('condition', ''), 'measures': run.router} for run in runs],
    }
