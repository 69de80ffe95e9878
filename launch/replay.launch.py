"""The whole stack, waiting for a bag: then ros2 bag play BAG --clock. (moe-bev replay does both, and reports.)"""

from moe_bev_ros.commands.launching import describe
from moe_bev_ros.runtime.stack import without_goal


def generate_launch_description():
    return describe(lambda stack, _: without_goal(stack), use_sim_time=True)
