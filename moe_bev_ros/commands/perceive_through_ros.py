"""What the running nodes publish for a scene of a tree: the scene as a bag, played by ``moe-bev replay``, recorded by
``moe-bev record``; each in a process of its own, in a ROS domain that nobody else uses.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, Tick
from moe_bev_ros.datasets.tree_to_bag import write_scene_bag
from moe_bev_ros.evaluation.perception.perceived import LEAST_SCORE, SeenKeyframe, SeenScene, Tracks, traits_of
from moe_bev_ros.nodes.bag_objects import objects_of_bag

OBJECTS_TOPIC = '/moe_bev/objects'
DOMAINS = range(1, 100)
STOP_TIMEOUT_S = 20.0
SAME_FRAME_NS = 60_000_000  # the stamp of a frame is that of its anchor camera


def see_scene_through_ros(
    tree: NuscenesTree, scene: str, engine: str, image_size: tuple[int, int], rate: float, work: Path
) -> tuple[SeenScene, dict[str, Any]]:
    """Play a scene through the nodes.

    Args:
        rate: speed of playing; 1: as it was recorded.
        work: an empty folder for bags and logs; what is large in it is removed.

    Returns:
        What was published at the keyframes, and the summary of the replay, with every frame accounted for.

    Raises:
        InputError: the scene cannot be read, or the nodes failed; the text says where their logs are.
    """
    work.mkdir(parents=True, exist_ok=True)
    bag, recorded, params = work / 'bag', work / 'objects', work / 'params.yaml'
    write_scene_bag(tree, scene, bag)
    width, height = image_size
    nodes = {'bev_node': {'engine': engine, 'score_threshold': LEAST_SCORE}, 'camera_node': {'width': width, 'height': height}}
    params.write_text(yaml.safe_dump({name: {'ros__parameters': values} for name, values in nodes.items()}))
    with own_domain() as environment, _recorder(recorded, work / 'record.log', environment):
        replay = ('replay', str(bag), '--rate', str(rate), '--out', str(work / 'replay'), '--params', str(params))
        log = work / 'replay.log'
        with log.open('w') as output:
            code = subprocess.run(_command(*replay), env=environment, stdout=output, stderr=output, check=False).returncode
    summary_path = work / 'replay' / 'summary.json'
    if not summary_path.is_file() or not recorded.exists():
        raise InputError(f'the replay of {scene} ended with {code} and without a result; see {log}')
    objects = [found for _, _, found in objects_of_bag(recorded, OBJECTS_TOPIC)]
    for path in bag.iterdir():
        path.unlink()
    return _at_keyframes(tree, scene, objects), json.loads(summary_path.read_text())


@contextlib.contextmanager
def own_domain() -> Iterator[dict[str, str]]:
    """An environment with a ROS domain that no other process of this kind uses meanwhile.

    Raises:
        InputError: all are in use.
    """
    for domain in DOMAINS:
        with Path(tempfile.gettempdir(), f'moe_bev_ros_domain_{domain}.lock').open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield {**os.environ, 'ROS_DOMAIN_ID': str(domain)}
            return
    raise InputError(f'no free ROS domain between {DOMAINS[0]} and {DOMAINS[-1]}; end other runs')


@contextlib.contextmanager
def _recorder(bag: Path, log: Path, environment: dict[str, str]) -> Iterator[None]:
    with log.open('w') as output:
        command = _command('record', str(bag), '--topics', OBJECTS_TOPIC)
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(*words: str) -> list[str]:
    return [sys.executable, '-m', 'moe_bev_ros.cli', *words]


def _at_keyframes(tree: NuscenesTree, scene: str, objects: list[Scene]) -> SeenScene:
    """A keyframe of which nothing was published has no objects."""
    keyframes = []
    for tick in tree.ticks(scene, keyframes_only=True):
        pose = tick.map_se3_base_link
        nearest = min(objects, key=lambda found: abs(found.stamp_ns - tick.stamp_ns), default=None)
        known = nearest is not None and abs(nearest.stamp_ns - tick.stamp_ns) <= SAME_FRAME_NS
        tracks = Tracks.of(nearest.objects if nearest is not None and known else ())
        truth = tree.boxes(scene, tick.sample_token, pose)
        if nearest is not None and known:
            pose = _pose_at(tick, nearest.stamp_ns)
        lights = tree.lights(scene, tick.sample_token)
        keyframes.append(SeenKeyframe(tick.sample_token, tick.stamp_ns, pose, truth, None, tracks, lights))
    return SeenScene(scene, traits_of(tree, scene), tuple(keyframes))


def _pose_at(tick: Tick, stamp_ns: int) -> Any:
    """That of the sensor whose stamp the objects carry."""
    records = [*tick.images.values(), *([tick.sweep] if tick.sweep is not None else [])]
    same = [record.map_se3_base_link for record in records if record.stamp_ns == stamp_ns]
    return same[0] if same else tick.map_se3_base_link
