"""A key point lands in the cells that the table gives it, as far as its depth agrees."""

import numpy as np
import torch
from model.small_model import CONFIG
from torch.nn.utils.fusion import fuse_conv_bn_eval

from moe_bev_ros.model.lift import Lift, ProjectedLift
from moe_bev_ros.perception.lift_geometry import lift_table

BLOCKS = CONFIG.num_cameras * CONFIG.num_blocks
HEIGHTS, CELLS = len(CONFIG.lift_heights_m), CONFIG.num_cells


def lift(**certain: float) -> Lift:
    """Its last layer is left out, so that it gives the stacked maps: of each height the features, then the weight."""
    torch.manual_seed(0)
    lift = Lift(CONFIG).eval()
    lift.merge = torch.nn.Identity()
    torch.nn.init.zeros_(lift.depth.weight)
    torch.nn.init.zeros_(lift.depth.bias)
    for name, value in certain.items():
        with torch.no_grad():
            lift.depth.bias[int(name.removeprefix('bin'))] = value
    return lift


def run(lift, block, pixel, depth_bin, lidar_bin=-1):
    points = torch.ones(1, 1, CONFIG.channels)
    with torch.inference_mode():
        maps, _ = lift(points, torch.tensor([[block]]), torch.tensor([[lidar_bin]]), pixel, depth_bin, BLOCKS)
    return maps.view(HEIGHTS, CONFIG.channels + 1, CELLS, CELLS)


def nowhere():
    pixel = torch.full((1, HEIGHTS, CELLS**2), BLOCKS)
    return pixel, torch.zeros_like(pixel)


def test_a_key_point_with_a_certain_depth_lands_in_exactly_the_cells_of_the_table():
    pixel, depth_bin = nowhere()
    pixel[0, 0, [5, 40]], depth_bin[0, 0, [5, 40]] = 100, 3
    pixel[0, 2, 77], depth_bin[0, 2, 77] = 100, 3
    pixel[0, 0, 6], depth_bin[0, 0, 6] = 100, 4  # along the same ray, farther
    pixel[0, 0, 7], depth_bin[0, 0, 7] = 101, 3  # another block, which is no key point
    maps = run(lift(bin3=50.0), 100, pixel, depth_bin)
    expected = torch.zeros(HEIGHTS, CELLS**2)
    expected[0, [5, 40]], expected[2, 77] = 1.0, 1.0
    for channel in (0, CONFIG.channels - 1, CONFIG.channels):
        torch.testing.assert_close(maps[:, channel].flatten(1), expected)


def test_the_real_table_puts_a_block_on_the_ray_of_its_camera():
    intrinsics = np.array([[40.0, 0, 48], [0, 40, 32], [0, 0, 1]], np.float32)
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    pose[:3, 3] = (0.0, 0.0, 1.5)
    table = lift_table(CONFIG, intrinsics[None], pose[None], np.array([True]))
    pixel, depth_bin = (torch.from_numpy(part)[None] for part in (table.pixel_zc, table.bin_zc))
    rows, columns = CONFIG.block_shape
    block = int(table.pixel_zc[1].reshape(CELLS, CELLS)[CELLS // 2, CELLS - 2])  # ahead at 10.4 m, 0.8 m to the left
    assert block // columns in (rows // 2, rows // 2 + 1)
    assert block % columns == columns // 2 - 1
    far = int(np.searchsorted(CONFIG.depth_edges_m, 10.4, side='right') - 1)
    weight = run(lift(**{f'bin{far}': 50.0}), block, pixel, depth_bin)[1, CONFIG.channels]
    assert weight[CELLS // 2, CELLS - 2] > 0.99
    lit_row, lit_column = torch.nonzero(weight > 0.5).T
    x_m = (lit_column + 0.5) * CONFIG.cell_m - CONFIG.half_m
    assert (x_m >= CONFIG.depth_edges_m[far]).all()
    assert (x_m < CONFIG.depth_edges_m[far + 1]).all()
    assert (lit_row >= CELLS // 2).all()


def test_a_lidar_return_moves_the_weight_to_its_bin_and_a_little_to_the_neighbours():
    pixel, depth_bin = nowhere()
    pixel[0, 0, :8], depth_bin[0, 0, :8] = 9, torch.arange(8)
    without = run(lift(), 9, pixel, depth_bin)[0, CONFIG.channels].flatten()[:8]
    helped = run(lift(), 9, pixel, depth_bin, lidar_bin=5)[0, CONFIG.channels].flatten()[:8]
    torch.testing.assert_close(without, torch.full((8,), 1 / 8))
    assert helped.argmax() == 5
    assert helped[5] > 0.5
    assert (helped[[4, 6]] > helped[[3, 7]]).all()
    torch.testing.assert_close(helped[4], helped[6])
    torch.testing.assert_close(helped.sum(), torch.tensor(1.0))


def test_a_depth_falls_into_the_same_bin_as_in_the_table():
    edges = CONFIG.depth_edges_m
    middles = torch.tensor((edges[1:] + edges[:-1]) / 2, dtype=torch.float32)
    assert Lift(CONFIG).bins_of(middles).tolist() == list(range(CONFIG.num_depth_bins))
    assert Lift(CONFIG).bins_of(torch.tensor([0.0, 0.5, 58.1, 500.0])).tolist() == [-1, 0, -1, -1]


def test_samples_of_a_batch_do_not_mix():
    pixel, depth_bin = (part.repeat(2, 1, 1) for part in nowhere())
    pixel[:, 0, 3] = 20
    points = torch.stack([torch.ones(1, CONFIG.channels), 2 * torch.ones(1, CONFIG.channels)])
    chosen = torch.tensor([[20], [20]])
    with torch.inference_mode():
        maps, _ = lift(bin0=50.0)(points, chosen, torch.full((2, 1), -1), pixel, depth_bin, BLOCKS)
    torch.testing.assert_close(maps[:, 0, 0, 3], torch.tensor([1.0, 2.0]))


def test_projecting_the_key_points_before_they_are_pulled_says_the_same():
    torch.manual_seed(0)
    merging = Lift(CONFIG).eval()
    norm = merging.merge[1]
    torch.nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
    merging.merge[0], merging.merge[1] = fuse_conv_bn_eval(merging.merge[0], norm), torch.nn.Identity()
    points = torch.randn(2, 6, CONFIG.channels)
    chosen = torch.stack([torch.randperm(BLOCKS)[:6] for _ in range(2)])
    lidar_bin = torch.randint(-1, CONFIG.num_depth_bins, (2, 6))
    pixel = chosen[:, torch.randint(0, 6, (HEIGHTS * CELLS**2,))].view(2, HEIGHTS, -1)
    pixel[:, :, ::3] = BLOCKS
    pixel[:, :, 1::3] = torch.randint(0, BLOCKS, pixel[:, :, 1::3].shape)
    depth_bin = torch.randint(0, CONFIG.num_depth_bins, pixel.shape)
    with torch.no_grad():
        wanted, got = (part(points, chosen, lidar_bin, pixel, depth_bin, BLOCKS) for part in (merging, ProjectedLift(merging)))
    assert (wanted[0] > 0).float().mean() > 0.1
    for ours, theirs in zip(got, wanted):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
