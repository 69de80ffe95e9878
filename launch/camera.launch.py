"""camera_node alone; it configures and activates itself."""

from moe_bev_ros.commands.launching import describe
from moe_bev_ros.runtime.stack import alone


def generate_launch_description():
    return describe(lambda stack, _: alone(stack, 'camera_node'))
