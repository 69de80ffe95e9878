"""Frames of random numbers for the small network, whatever it runs on, and what it says to them."""

import numpy as np
from model.small_model import CONFIG, random_inputs

from moe_bev_ros.perception.network_inputs import NetworkArrays

RTOL, ATOL = 1e-3, 1e-4


def arrays_of(seed):
    inputs = random_inputs(seed=seed)
    valid_n = np.ones(CONFIG.num_cameras, np.bool_)
    fields = (inputs.images, inputs.depth, inputs.pixel, inputs.bin, inputs.pillars)
    return NetworkArrays(*(values[0].numpy() for values in fields), valid_n, True), inputs.motion[0].numpy()


def run(network, seed, experts, dt_s=0.1, clock=lambda _: None):
    arrays, motion_33 = arrays_of(seed)
    outputs = network.conclude(network.encode(arrays, experts, clock), motion_33, dt_s, experts, clock)
    return {**outputs.maps._asdict(), 'road': outputs.road_khw}, outputs


def assert_same(got, wanted):
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name], values, rtol=RTOL, atol=ATOL, err_msg=name)


def copied(values):
    return {name: value.copy() for name, value in values.items()}
