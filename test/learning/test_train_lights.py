"""Crops say what they show, and the network learns to tell it."""

import numpy as np
import pytest
import torch

from moe_bev_ros.cli import main
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.learning.light_samples import LightSamples, samples_of_seed
from moe_bev_ros.learning.train_lights import LightTrainConfig, accuracy_lines, augmented, fit


def painted(num, seed):
    """Dark squares with one bright lamp; those without one are of no known state."""
    rng = np.random.default_rng(seed)
    states = rng.integers(4, size=num)
    images = rng.normal(-1.0, 0.1, (num, 3, 24, 24)).astype(np.float16)
    colours = {LightState.RED: (2, -1, -1), LightState.AMBER: (2, 1, -1), LightState.GREEN: (-1, 2, 0)}
    for image, state in zip(images, states):
        if state:
            row = 5 + 5 * (int(state) - 1)
            image[:, row : row + 3, 11:14] = np.array(colours[LightState(state)])[:, None, None]
    return LightSamples(images, states.astype(np.int64), rng.uniform(5.0, 69.0, num).astype(np.float32))


def test_each_view_of_the_world_gives_every_state_once_or_nothing_to_be_seen():
    samples = samples_of_seed(1_000_001, 'val', views=8)
    assert len(samples) >= 9
    assert np.abs(samples.images_n3hw).max() < 5.0
    for states, distances in zip(samples.states_n.reshape(-1, 3), samples.distance_n.reshape(-1, 3)):
        assert sorted(states.tolist()) in ([1, 2, 3], [0, 0, 0])
        assert len(set(distances.tolist())) == 1
    red, green = (samples.images_n3hw[samples.states_n == state].astype(float) for state in (1, 3))
    redness, greenness = ((image[:, 0] - image[:, 1]).max(axis=(1, 2)).mean() for image in (red, green))
    assert redness > greenness


def test_crops_of_another_split_are_refused():
    with pytest.raises(InputError, match='outside split'):
        samples_of_seed(2_000_000, 'train')


def test_the_network_learns_lamps_and_their_absence():
    lines = []
    config = LightTrainConfig(num_steps=50, batch=32)
    model = fit(painted(400, 0), config, lines.append)
    unseen = painted(200, 1)
    with torch.inference_mode():
        read = model(torch.from_numpy(unseen.images_n3hw).float()).argmax(dim=1).numpy()
    assert (read == unseen.states_n).mean() > 0.9
    assert lines[-1].startswith('step 50/50')
    assert len(accuracy_lines(model, unseen)) == 4 + 4


def test_an_augmented_crop_is_moved_by_two_pixels_at_most_and_keeps_up_above():
    torch.manual_seed(0)
    crops = torch.zeros(64, 3, 24, 24)
    crops[:, :, 6, 12] = 50.0
    moved = augmented(crops)
    assert moved.shape == crops.shape
    rows, columns = np.unravel_index(moved[:, 0].flatten(1).argmax(dim=1).numpy(), (24, 24))
    assert set(rows) <= set(range(4, 9))
    assert set(columns) <= set(range(9, 15))
    assert len(set(zip(rows, columns))) > 10


def test_nothing_to_learn_from_or_a_loss_that_is_not_finite_is_said():
    config = LightTrainConfig(num_steps=2, batch=4)
    with pytest.raises(InputError, match='no scenario shows a light'):
        fit(painted(0, 0), config, print)
    broken = painted(8, 0)
    broken.images_n3hw[:] = np.nan
    with pytest.raises(InputError, match='not finite at step 1'):
        fit(broken, config, print)


def test_the_command_refuses_a_tree_whose_lights_do_not_show_every_state(tmp_path, capsys):
    assert main(['train', '--profile', 'lights', '--data', str(tmp_path)]) != 0
    assert 'lights train on the world alone; leave --data out' in capsys.readouterr().err
