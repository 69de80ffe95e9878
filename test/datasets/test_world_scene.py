import json
from pathlib import Path

import numpy as np
import pytest

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import inverse
from moe_bev_ros.datasets.nuscenes_tables import CAMERAS
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.datasets.scenario_check import scenario_facts
from moe_bev_ros.datasets.tree_statistics import tree_statistics
from moe_bev_ros.datasets.world_runs import WorldRun, num_ticks
from moe_bev_ros.datasets.world_scene import SceneJob, write_scene
from moe_bev_ros.planning.lanelet_map import load_lane_graph

SEED, SIZE, SECONDS = 1_000_000, (96, 64), 2.0
NAME = f'world-{SEED}'
SETTINGS = {'image_size': list(SIZE), 'seconds': SECONDS}


@pytest.fixture(scope='module')
def job(tmp_path_factory):
    job = SceneJob(tmp_path_factory.mktemp('world'), 'val', SEED, '', 'day', SIZE, SECONDS, SETTINGS)
    assert write_scene(job) == num_ticks(SECONDS) == 16
    TreeWriter(job.root, SETTINGS).merge()
    return job


@pytest.fixture(scope='module')
def devkit(job):
    nuscenes = pytest.importorskip('nuscenes')
    return nuscenes.NuScenes('v1.0-world', str(job.root), verbose=False)


@pytest.fixture(scope='module')
def truth(job):
    """Moments at the keyframes, driven once more, without cameras."""
    run = WorldRun(job.scenario(), job.rig)
    moments = [moment for moment in run.drive(num_ticks(SECONDS)) if moment.is_keyframe]
    run.close()
    return moments


def test_the_devkit_opens_the_tree_and_finds_four_keyframes(devkit):
    (scene,) = devkit.scene
    assert (scene['name'], scene['nbr_samples']) == (NAME, 4)
    assert len(devkit.sample_data) == 16 * 7
    assert set(devkit.sample[0]['data']) == {*CAMERAS, 'LIDAR_TOP'}
    assert len(devkit.sample_annotation) > 20


def test_the_devkit_counts_the_same_points_in_each_box(devkit):
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import points_in_box

    found = 0
    for sample in devkit.sample:
        path, boxes, _ = devkit.get_sample_data(sample['data']['LIDAR_TOP'])
        points = LidarPointCloud.from_file(path).points[:3]
        for box in boxes:
            inside = points_in_box(box, points).sum()
            assert inside == devkit.get('sample_annotation', box.token)['num_lidar_pts']
            found += inside
    assert found > 200


def test_sweeps_and_images_and_boxes_fit_each_other(job):
    """Road users that the cameras see well hold points, so LiDAR, cameras and boxes agree on where everything is."""
    frames = open_tree(job.root).frames(NAME, SIZE, keyframes_only=True)
    counts = []
    for boxes in (frame.boxes for frame in frames):
        near = np.hypot(boxes.boxes_n7[:, 0], boxes.boxes_n7[:, 1]) < 25.0
        vehicles = np.isin(boxes.labels_n, (Label.CAR, Label.TRUCK, Label.BUS, Label.TRAILER))
        counts += boxes.num_lidar_n[near & vehicles & (boxes.visible_shares_n > 0.6)].tolist()
    assert len(counts) >= 4
    assert np.mean(np.array(counts) > 20) > 0.8


def test_the_devkits_velocities_are_the_true_ones(devkit, truth):
    tokens = {}
    for annotation in devkit.sample_annotation:
        place = tuple(np.round(annotation['translation'][:2], 2))
        tokens[(annotation['sample_token'], place)] = annotation['token']
    world = Path(devkit.dataroot) / devkit.version / 'world' / f'{NAME}.json'
    offset = np.array(json.loads(world.read_text())['map_offset_xy_m'])
    errors = []
    for sample, moment in list(zip(devkit.sample, truth))[1:-1]:
        for actor in moment.actors:
            token = tokens.get((sample['token'], tuple(np.round(np.array([actor.x, actor.y]) + offset, 2))))
            if token is not None:
                errors.append(np.linalg.norm(devkit.box_velocity(token)[:2] - actor.velocity_2))
    assert len(errors) > 20
    assert np.mean(np.array(errors) < 0.5) > 0.9


def test_the_devkit_renders_images_points_and_the_map(devkit, tmp_path):
    matplotlib = pytest.importorskip('matplotlib')
    matplotlib.use('Agg')
    sample = devkit.sample[1]
    devkit.render_sample_data(sample['data']['CAM_FRONT'], out_path=str(tmp_path / 'camera.png'), verbose=False)
    devkit.render_sample_data(sample['data']['LIDAR_TOP'], out_path=str(tmp_path / 'lidar.png'), verbose=False)
    devkit.render_annotation(sample['anns'][0], out_path=str(tmp_path / 'box.png'))
    assert len(list(tmp_path.iterdir())) == 3


def test_the_vehicle_drives_on_the_devkits_map(devkit):
    (record,) = devkit.map
    x, y = np.array([pose['translation'][:2] for pose in devkit.ego_pose]).T
    assert min(x.min(), y.min()) > 0.0
    assert record['mask'].is_on_mask(x, y).all()
    assert not record['mask'].is_on_mask(np.array([1.0]), np.array([1.0])).any()


def test_the_official_evaluation_takes_the_split_and_praises_the_truth(devkit, tmp_path):
    from nuscenes.eval.detection.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval
    from nuscenes.eval.detection.utils import category_to_detection_name

    def detection(token):
        row = devkit.get('sample_annotation', token)
        return {
            'sample_token': row['sample_token'],
            **{name: row[name] for name in ('translation', 'size', 'rotation')},
            'velocity': devkit.box_velocity(token)[:2].tolist(),
            'detection_name': category_to_detection_name(row['category_name']),
            'detection_score': 0.9,
            'attribute_name': '',
        }

    def seen(token):
        return devkit.get('sample_annotation', token)['num_lidar_pts'] > 0

    results = {s['token']: [detection(token) for token in s['anns'] if seen(token)] for s in devkit.sample}
    path = tmp_path / 'results.json'
    path.write_text(json.dumps({'meta': {}, 'results': results}))
    judge = DetectionEval(devkit, config_factory('detection_cvpr_2019'), str(path), 'world_val', str(tmp_path), verbose=False)
    assert len(judge.gt_boxes.all) > 10
    metrics, _ = judge.evaluate()
    assert metrics.mean_dist_aps['car'] > 0.99
    assert metrics.get_label_tp('car', 'trans_err') < 1e-6


def test_the_map_is_also_a_lanelet2_file_in_the_same_frame(job, devkit):
    graph = load_lane_graph(job.root / 'maps' / f'{NAME}.osm')
    pose = devkit.get('ego_pose', devkit.sample_data[0]['ego_pose_token'])
    lane = graph.lanes[graph.nearest(np.array(pose['translation'][:2]), 0.0)]
    assert np.linalg.norm(lane.centre_m3[:, :2] - pose['translation'][:2], axis=1).min() < 30.0


def test_static_things_stay_where_they_are_in_the_stored_sweeps(job):
    """Points that were moved to the stamp: the ground's points lie on the ground, however the vehicle moves."""
    frames = list(open_tree(job.root).frames(NAME, SIZE))
    assert frames[-1].frame.ego.speed_mps > 0.5
    for frame in (frames[0], frames[-1]):
        points = frame.frame.lidar.points_n5
        near = points[np.hypot(points[:, 0], points[:, 1]) < 8.0]
        assert abs(np.median(near[:, 2])) < 0.1


def test_the_reader_gives_the_true_boxes(job, truth):
    frames = list(open_tree(job.root).frames(NAME, SIZE, keyframes_only=True))
    for frame, moment in zip(frames, truth, strict=True):
        base_link_se3_map = inverse(moment.ego.odom_se3_base_link)
        actors = [a for a in moment.actors if np.hypot(*(np.array([a.x, a.y]) - moment.ego.odom_se3_base_link[:2, 3])) <= 80.0]
        wanted = [base_link_se3_map[:3, :3] @ actor.box_7[:3] + base_link_se3_map[:3, 3] for actor in actors]
        order = np.lexsort(np.round(frame.boxes.boxes_n7[:, :2], 2).T)
        np.testing.assert_allclose(
            frame.boxes.boxes_n7[order, :2], np.array(wanted)[np.lexsort(np.round(np.array(wanted)[:, :2], 2).T), :2], atol=0.02
        )
        assert {Label(number) for number in frame.boxes.labels_n} == {actor.body.label for actor in actors}
        assert ((frame.boxes.visible_shares_n >= 0.0) & (frame.boxes.visible_shares_n <= 1.0)).all()


def test_the_tree_says_what_was_drawn_and_its_scenario_is_recognised(job):
    tree = open_tree(job.root)
    world = tree.world(NAME)
    assert (world['seed'], world['condition']) == (SEED, 'day')
    numbers = tree_statistics(tree, tree.scenes('world_val'))
    assert numbers['scenes_per_condition'] == {'day': 1}
    assert numbers['seeds'] == [SEED]
    assert len(scenario_facts(tree, tree.scenes())['scenario_hash']) == 64
