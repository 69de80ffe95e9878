"""The whole stack, waiting for a bag: then ros2 bag play BAG --clock. (moe-bev replay does both, and reports.)"""

from moe_bev_ros.commands.launching import describe


def generate_launch_description():
    return describe(use_sim_time=True)
