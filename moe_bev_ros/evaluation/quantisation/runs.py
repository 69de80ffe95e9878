"""Makes and judges the rows of a quantisation, one after another; what is finished is not done again.

In the folder: ``ranges_*.json`` with what calibration found, ``networks/`` with the weights of each row, ``rows/`` with its
figures, ``engine/`` with the exported network, ``layers.json`` with the error of each layer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.datasets.worker_processes import run_jobs
from moe_bev_ros.engine.manifest import MANIFEST, file_sha256, load_manifest
from moe_bev_ros.engine.quantised_export import export_quantised
from moe_bev_ros.evaluation.ablation.files import RowRun, load_row, save_row
from moe_bev_ros.evaluation.perception.judge import judge, scene_tally, without_nan
from moe_bev_ros.evaluation.quantisation.engine import SceneJob, run_scene
from moe_bev_ros.evaluation.quantisation.rows import BEST, DEPLOYED, LEADING, REST, VGD, Row, quantisation_rows
from moe_bev_ros.evaluation.quantisation.summary import quantisation_summary
from moe_bev_ros.evaluation.strata import RESAMPLES
from moe_bev_ros.learning.calibration import Ranges, measured_ranges
from moe_bev_ros.learning.calibration_set import CalibrationFrames, CalibrationSet
from moe_bev_ros.learning.layer_errors import Sensitivity, layer_errors, sensitivities
from moe_bev_ros.learning.post_training import ALL_BRANCHES, best_rules, calibrated
from moe_bev_ros.learning.quantisation_policy import Policy, QuantisedLayers, quantised_layers
from moe_bev_ros.learning.quantisation_training import FineTuning, fine_tuned
from moe_bev_ros.learning.quantised_weights import load_quantised, quantised_bytes, save_quantised
from moe_bev_ros.learning.quantisers import Bits, quantised
from moe_bev_ros.learning.train_config import TrainConfig
from moe_bev_ros.learning.tree_drives import TreeSource
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.folding import folded
from moe_bev_ros.model.weights_file import load_weights

Say = Callable[[str], None]
LAYER_FRAMES, SENSITIVITY_FRAMES = 16, 8


@dataclass(frozen=True)
class Plan:
    """What is quantised, and on what.

    Attributes:
        weights: of the float network.
        policy_path: where ``policy`` was read.
        calibration: frames that ranges come from.
        training: of the rows that are trained; its frames are those of each row.
        distillation, grid: weights of these losses.
        train_tree, train_split: drives of the training.
        tree, scenes: to be judged.
        workers: processes that judge scenes.
    """

    weights: Path
    policy: Policy
    policy_path: Path
    calibration: CalibrationSet
    training: TrainConfig
    distillation: float
    grid: float
    train_tree: NuscenesTree
    train_split: str
    tree: NuscenesTree
    scenes: tuple[str, ...]
    out: Path
    workers: int = 1
    resamples: int = RESAMPLES

    @cached_property
    def made_from(self) -> dict[str, Any]:
        """What makes finished ranges and networks worthless if it changes."""
        policy = json.dumps(dataclasses.asdict(self.policy), sort_keys=True)
        return {
            'weights_sha256': file_sha256(self.weights),
            'policy_sha256': hashlib.sha256(policy.encode()).hexdigest(),
            'calibration': self.calibration.found,
        }

    def about(self, row: Row) -> dict[str, Any]:
        """What makes a finished row worthless if it changes."""
        trained = {'frames': self.training.num_frames, 'rate': self.training.rate, 'grid': self.grid}
        if row.training == VGD:
            trained['distillation'] = self.distillation
        bits = None if row.bits is None else row.bits.name
        made = {**self.made_from, 'bits': bits, 'rule': row.rule, 'points': row.points} if bits else self.made_from
        return {**made, **(trained if row.training else {}), 'scenes': list(self.scenes)}


class Quantisation:
    """The rows of a plan."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self.plan, self._say = plan, say
        self.reference = folded(load_weights(plan.weights)).channels_last()
        self.frames = CalibrationFrames(plan.calibration, self.reference.config)

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Make and judge these rows.

        Raises:
            InputError: something finished was made with another plan, or a file cannot be read or written.
        """
        runs = {row.name: self.run(row) for row in rows}
        about = {'calibration': self.plan.calibration.found, 'missing_conditions': list(self.plan.calibration.missing)}
        is_deployed = DEPLOYED.name in runs
        size = folder_bytes(self.engine()) if is_deployed else None
        layers = self.layers() if is_deployed else {}
        return {**quantisation_summary(rows, runs, self.plan.resamples), **about, 'engine_bytes': size, 'layers': layers}

    def run(self, row: Row) -> RowRun:
        """A row from its file, or made."""
        path = self.plan.out / 'rows' / f'{row.slug}.json'
        known = load_row(path, self.plan.about(row))
        if known is not None:
            return known
        self._say(f'row {row.name}')
        run = self._judged(row)
        save_row(path, run)
        self._say(f'row {row.name}: NDS {run.figures["nds"]:.4f}, mAP {run.figures["mean_ap"]:.4f}')
        return run

    # Networks -----------------------------------------------------------------------------------------------------------

    def network(self, row: Row) -> Path:
        """The weights of a quantised row, made if need be."""
        assert row.bits is not None
        path = self.plan.out / 'networks' / f'{replace(row, run_time="", name=row.name.partition(", in ")[0]).slug}.safetensors'
        if path.is_file():
            return path
        layers = self.layers_of(row)
        if row.training:
            start = replace(row, name=f'{row.bits.name} PTQ', training='')
            model = self._trained(row, load_quantised(self.network(start)), path.with_suffix('.checkpoint'))
        else:
            ranges = self.ranges(row.bits)
            rules = self._rules(row, ranges)
            shared = ranges if row.points == 'leading' else _shared_points(ranges)
            model = calibrated(self._reference_of(row), layers, row.bits, shared, rules, self.frames)
        save_quantised(model, layers, row.bits, path)
        path.with_suffix('.checkpoint').unlink(missing_ok=True)
        return path

    def engine(self, row: Row = DEPLOYED) -> Path:
        """The folder of the exported network."""
        folder, sha256 = self.plan.out / 'engine', file_sha256(self.plan.weights)
        if not (folder / MANIFEST).is_file():
            export_quantised(load_quantised(self.network(row)), sha256, folder)
        if load_manifest(folder).weights_sha256 != sha256:
            raise InputError(f'{folder}: made from other weights; give another --out, or remove it')
        return folder

    def layers_of(self, row: Row) -> QuantisedLayers:
        """Those that are INT8."""
        return quantised_layers(self.plan.policy.with_rules(*row.policy_rules), self.reference, self.plan.policy_path)

    def ranges(self, bits: Bits) -> Ranges:
        """Of all activations, of those too that only some rows quantise."""
        every = self.layers_of(next(row for row in quantisation_rows() if row.points == 'none'))

        def measure() -> Ranges:
            self._say(f'ranges of {bits.activations} bits on {len(self.frames)} frames')
            return measured_ranges(quantised(self.reference, every, bits), self.frames, bits.activations, self._say)

        return dict(self._remembered(f'ranges_{bits.activations}', measure))

    def layers(self) -> dict[str, Any]:
        """Signal to error of each layer of the deployed network [dB]."""

        def measure() -> dict[str, Any]:
            self._say('error of each layer')
            return layer_errors(load_quantised(self.network(DEPLOYED)), islice(self.frames, LAYER_FRAMES))

        return dict(self._remembered('layers', measure))

    def sensitivities(self) -> list[Sensitivity]:
        """All layers, those first that cost most where they alone are quantised."""
        model = load_quantised(self.network(next(row for row in quantisation_rows() if row.name == 'INT8 PTQ')))
        return sensitivities(model, list(islice(self.frames, SENSITIVITY_FRAMES)), self.plan.training.losses, self._say)

    def _rules(self, row: Row, ranges: Ranges) -> dict[str, str]:
        if row.rule != BEST:
            return dict.fromkeys(ALL_BRANCHES, row.rule)
        assert row.bits is not None
        bits, losses = row.bits, self.plan.training.losses
        plain = self.layers_of(replace(row, points='leading'))
        return dict(
            self._remembered(
                f'rules_{bits.name.lower()}',
                lambda: best_rules(self.reference, plain, bits, ranges, self.frames, losses, self._say),
            )
        )

    def _reference_of(self, row: Row) -> BevModel:
        """The float network, with as many key points in the leading branch as the row says."""
        model = folded(load_weights(self.plan.weights)).channels_last()
        if row.points == 'trailing':
            model.attention.first = model.config.num_key_points - model.attention.first
        return model

    def _trained(self, row: Row, model: BevModel, checkpoint: Path) -> BevModel:
        plan, config = self.plan, self.reference.config
        source = TreeSource(plan.train_tree, plan.train_split, (config.image_width, config.image_height))
        tuning = FineTuning(plan.training, plan.grid, plan.distillation if row.training == VGD else 0.0)
        reference = folded(load_weights(plan.weights))
        return fine_tuned(model, reference, tuning, source, checkpoint, lambda line: self._say(f'{row.name}: {line}'))

    def _remembered(self, name: str, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What a file holds, or made and written to it.

        Raises:
            InputError: it is of another plan, or damaged.
        """
        path = self.plan.out / f'{name}.json'
        if not path.is_file():
            write_json(path, {'made_from': self.plan.made_from, 'found': make()})
        try:
            content = json.loads(path.read_text())
            found, made_from = dict(content['found']), content['made_from']
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise InputError(f'{path}: damaged ({err}); remove it, and it is made again') from err
        differing = sorted(key for key, value in self.plan.made_from.items() if made_from.get(key) != value)
        if differing:
            raise InputError(f'{path}: made with another {", ".join(differing)}; give another --out, or remove the folder')
        return found

    # Judging ------------------------------------------------------------------------------------------------------------

    def _judged(self, row: Row) -> RowRun:
        plan, (network, form, size) = self.plan, self._form(row)
        jobs = [SceneJob(str(plan.tree.root), plan.tree.version, scene, str(network), form) for scene in plan.scenes]
        found = run_jobs(run_scene, jobs, plan.workers) if plan.workers > 1 else map(run_scene, jobs)
        by_name = {}
        for seen in found:
            by_name[seen.name] = seen
            if len(by_name) % 5 == 0 or len(by_name) == len(jobs):
                self._say(f'{row.name}: {len(by_name)} of {len(jobs)} scenes judged')
        scenes = [by_name[name] for name in plan.scenes]
        judgement = judge(plan.tree, scenes, resamples=1)
        assert judgement.detections is not None
        figures = {'name': row.name, 'plan': plan.about(row), 'bytes': size, **judgement.results}
        figures['conditions'] = [scene.traits.get('condition', '') for scene in scenes]
        return RowRun(without_nan(figures), judgement.detections.table, tuple(map(scene_tally, scenes)))

    def _form(self, row: Row) -> tuple[Path, str, int]:
        """The network of a row, what kind of file it is, and bytes of its weights."""
        if row.bits is None:
            return self.plan.weights, 'float', 4 * sum(values.numel() for values in self.reference.parameters())
        if row.run_time:
            return self.engine(), row.run_time, folder_bytes(self.engine())
        path = self.network(row)
        return path, 'quantised', quantised_bytes(load_quantised(path))


def chosen_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """The reference and the rows of these names; none: all.

    Raises:
        InputError: there is no such row.
    """
    rows = quantisation_rows()
    unknown = set(names) - {name for row in rows for name in (row.name, row.slug)}
    if unknown:
        raise InputError(f'no row {", ".join(sorted(unknown))}; there are {", ".join(row.slug for row in rows)}')
    return tuple(row for row in rows if not names or row.bits is None or {row.name, row.slug} & set(names))


def folder_bytes(folder: Path) -> int:
    """Of all files in it."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _shared_points(ranges: Ranges) -> Ranges:
    """The same with one range for both branches of the key points, which change places."""

    def shared(of_rule: Mapping[str, float], name: str) -> float:
        twin = name.replace(LEADING, REST) if name.startswith(LEADING) else name.replace(REST, LEADING)
        return max(of_rule[name], of_rule.get(twin, 0.0))

    return {rule: {name: shared(of_rule, name) for name in of_rule} for rule, of_rule in ranges.items()}
