import pytest
from datasets.small_tree import write_small_tree

from moe_bev_ros.datasets.light_places import scene_light_places
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.datasets.world_scene import SceneJob, write_scene

NAME = 'world-1000000'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    job = SceneJob(tmp_path_factory.mktemp('world'), 'val', 1_000_000, 'red_light', '', (96, 64), 0.5, {})
    write_scene(job)
    TreeWriter(job.root, {}).merge()
    return job.root


def test_the_written_map_tells_where_the_housings_hang(root):
    tree = open_tree(root)
    places = scene_light_places(tree, NAME)
    (lights,) = tree.world(NAME)['lights'].values()
    assert {place.element_id for place in places} == {light['element_id'] for light in lights}
    stops = {light['element_id']: light['stop_xy_m'] for light in lights}
    for place in places:
        away_m = sum((a - b) ** 2 for a, b in zip(place.centre_xyz_m[:2], stops[place.element_id])) ** 0.5
        assert 0.5 < away_m < 15.0


def test_a_tree_without_places_in_its_map_gives_the_same_from_its_seed(root):
    told = scene_light_places(open_tree(root), NAME)
    path = root / f'maps/{NAME}.osm'
    whole = path.read_text()
    path.write_text(whole.replace('k="height"', 'k="other"'))
    drawn = scene_light_places(open_tree(root), NAME)
    path.write_text(whole)
    for one, other in zip(drawn, told, strict=True):
        assert (one.element_id, one.height_m) == (other.element_id, other.height_m)
        assert one.centre_xyz_m == pytest.approx(other.centre_xyz_m, abs=0.002)


def test_a_tree_that_tells_nothing_has_no_places(tmp_path):
    assert scene_light_places(open_tree(write_small_tree(tmp_path)), NAME) == []
