"""The whole stack on a Jetson Orin: bringup with config/orin.param.yaml over the nodes' own values."""

from moe_bev_ros.commands.launching import describe
from moe_bev_ros.runtime.environment import config_dir


def generate_launch_description():
    return describe(params_file=str(config_dir() / 'orin.param.yaml'))
