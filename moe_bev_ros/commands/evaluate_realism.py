"""``moe-bev evaluate realism``: LiDAR points on the world's bodies next to those on recorded road users of the same boxes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json

if TYPE_CHECKING:
    from moe_bev_ros.evaluation.realism.ratios import BinRatio, RingCount
    from moe_bev_ros.evaluation.realism.sweeps import SensorSweep

NUM_BRIGHTNESS_BINS = 32
NUM_STREETS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the recorded frames lie and what to write."""
    parser.add_argument('--data', type=Path, required=True, help='folder with frame.json files and Argoverse 2 logs below it')
    parser.add_argument('--seed', type=int, default=0, help='of bodies, noise and intervals')
    parser.add_argument('--json', type=Path, help='write all numbers to this file')
    parser.add_argument('--out', type=Path, help='write plots to this folder')


def run(args: argparse.Namespace) -> int:
    """Print ratios, grounds and histograms; 0 also where a goal is missed, since the print is the result."""
    from moe_bev_ros.evaluation.realism import ratios as realism  # compiles nothing, but imports the renderer
    from moe_bev_ros.evaluation.realism.sweeps import by_stamp, read_sweeps

    sweeps = read_sweeps(args.data)
    counts = [
        count
        for same in by_stamp(sweeps)
        for count in realism.joined([realism.count_objects(sweep, args.seed) for sweep in same])
    ]
    ratios = realism.bin_ratios(counts, args.seed)
    rings = [ring for sweep in sweeps for ring in realism.ground_rings(sweep, args.seed)]
    histograms = {'intensity': _intensities(sweeps, args.seed), 'brightness': _brightness(args.data)}
    _print(f'{len(sweeps)} sweeps of single LiDARs, {len(counts)} annotated boxes within range below {args.data}')
    _print(realism.HOW)
    _print(ratio_table(ratios))
    few = [f'{source} {label.name.lower()} {low:.0f} m ({num})' for source, label, low, num in realism.unjudged(counts)]
    _print(f'too few boxes to judge by the goal: {", ".join(few) or "none"}')
    _print(_ground_line(rings))
    if args.json is not None:
        _write_figures(args.json, ratios, rings, histograms)
    if args.out is not None:
        _plot(args.out, ratios, rings, histograms)
    return 0


def ratio_table(ratios: Sequence[BinRatio]) -> str:
    """One line a source, class and bin."""
    head = ('source', 'class', 'distance', 'boxes', 'objects', 'points', 'ratio', '95 %', 'alone', 'goal')
    lines = ['{:<10}{:<22}{:<12}{:>6}{:>8}{:>8}{:>7}  {:<14}{:>6}  {}'.format(*head)]
    for row in ratios:
        goal = '' if not row.has_goal else 'met' if row.is_met else 'missed'
        between = f'{row.low_m:.0f}-{row.low_m + 10:.0f} m'
        interval = f'{row.low:.2f}-{row.high:.2f}'
        lines.append(
            f'{row.source:<10}{row.label.name.lower():<22}{between:<12}{row.num_boxes:>6}{row.num_objects:>8}{row.recorded:>8}{row.ratio:>7.2f}'
            f'  {interval:<14}{row.ratio_alone:>6.2f}  {goal}'
        )
    return '\n'.join(lines)


def _ground_line(rings: Sequence[RingCount]) -> str:
    recorded, synthetic = sum(ring.recorded for ring in rings), sum(ring.synthetic for ring in rings)
    return (
        f'ground within 50 m, all beams: {recorded} points recorded, {synthetic} on the flat ground of the world; '
        'the steepest beams of a recording end on its own vehicle'
    )


def _intensities(sweeps: Sequence[SensorSweep], seed: int) -> dict[str, dict[str, list[float]]]:
    from moe_bev_ros.evaluation.realism.ratios import intensity_counts

    result: dict[str, dict[str, list[float]]] = {}
    for source in sorted({sweep.source for sweep in sweeps}):
        pairs = [intensity_counts(sweep, seed) for sweep in sweeps if sweep.source == source]
        recorded, synthetic = (_share(np.sum(column, axis=0)) for column in zip(*pairs))
        result[source] = {'recorded': recorded, 'synthetic': synthetic}
    return result


def _share(counts: NDArray[Any]) -> list[float]:
    return [round(float(value), 4) for value in counts / max(1.0, counts.sum())]


def _brightness(folder: Path) -> dict[str, list[float]]:
    """Shares of grey values, in 32 equal bins: of all recorded images, and of the world's by day."""
    from moe_bev_ros.datasets.frames import read_frames

    images = [
        _grey(image.path)
        for path in sorted(folder.rglob('frame.json'))
        for frame in read_frames(path.parent).frames
        for image in frame.images
    ]
    return {'recorded': _grey_shares(images), 'synthetic': _grey_shares(_world_images() if images else [])}


def _grey(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    if image is None:
        raise InputError(f'{path}: cannot be read as an image; copy it again')
    return np.asarray(image)


def _grey_shares(images: Sequence[NDArray[Any]]) -> list[float]:
    counts = np.zeros(NUM_BRIGHTNESS_BINS)
    for image in images:
        counts += np.histogram(image, NUM_BRIGHTNESS_BINS, (0, 256))[0] / image.size
    return _share(counts)


def _world_images() -> list[NDArray[np.uint8]]:
    from moe_bev_ros.core.command import Vehicle
    from moe_bev_ros.world.autopilot import shipped_pedals
    from moe_bev_ros.world.rig import Rig
    from moe_bev_ros.world.scenario import make_scenario
    from moe_bev_ros.world.simulation import World

    images: list[NDArray[np.uint8]] = []
    for seed in range(NUM_STREETS):
        world = World(make_scenario(seed), shipped_pedals(), Rig(), Vehicle(), threads=1)
        images += [np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) for image in world.sense().images_nhw3]
        world.close()
    return images


def _write_figures(path: Path, ratios: Sequence[BinRatio], rings: Sequence[RingCount], histograms: dict[str, Any]) -> None:
    content = {
        'ratios': [
            {**vars(row), 'label': row.label.name.lower(), 'goal': row.is_met if row.has_goal else None} for row in ratios
        ],
        'ground_rings': [vars(ring) for ring in rings],
        **histograms,
    }
    write_json(path, content)


def _plot(folder: Path, ratios: Sequence[BinRatio], rings: Sequence[RingCount], histograms: dict[str, Any]) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise InputError('plots need matplotlib; pip install "moe-bev-ros[evaluation]"') from err

    figure = Figure(figsize=(14, 9), layout='constrained')
    axes = figure.subplots(2, 2)
    names = [f'{row.source} {row.label.name.lower()} {row.low_m:.0f} m' for row in ratios]
    middle = np.array([row.ratio for row in ratios])
    spread = np.abs(np.array([[row.low, row.high] for row in ratios]).reshape(-1, 2).T - middle)
    axes[0, 0].errorbar(middle, np.arange(len(ratios)), xerr=spread, fmt='o')
    axes[0, 0].set(yticks=np.arange(len(ratios)), yticklabels=names, xscale='log', title='points, the world to recorded')
    axes[0, 0].axvspan(0.7, 1.4, alpha=0.2)
    for source in sorted({ring.source for ring in rings}):
        mine = sorted((ring for ring in rings if ring.source == source), key=lambda ring: ring.elevation_rad)
        elevation = np.degrees([ring.elevation_rad for ring in mine])
        axes[0, 1].plot(elevation, [ring.recorded for ring in mine], '.', label=f'{source} recorded')
        axes[0, 1].plot(elevation, [ring.synthetic for ring in mine], '.', label=f'{source} world')
        for kind, shares in histograms['intensity'][source].items():
            axes[1, 0].plot((np.arange(len(shares)) + 0.5) / len(shares), shares, label=f'{source} {kind}')
    for kind, shares in histograms['brightness'].items():
        axes[1, 1].plot(np.arange(len(shares)) * 256 / NUM_BRIGHTNESS_BINS, shares, label=kind)
    axes[0, 1].set(title='points on the ground within 50 m by beam', xlabel='elevation [deg]')
    axes[1, 0].set(title='intensity of points on road users')
    axes[1, 1].set(title='grey values of images')
    for axis in (axes[0, 1], axes[1, 0], axes[1, 1]):
        axis.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / 'realism.png', dpi=100)


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
