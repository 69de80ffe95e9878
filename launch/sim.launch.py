"""The whole stack in the simulated world: ros2 launch moe_bev_ros sim.launch.py seed:=2 realtime:=true."""

from pathlib import Path

from moe_bev_ros.commands.launching import describe
from moe_bev_ros.runtime.stack import sim_stack


def with_world(stack, values):
    return sim_stack(stack, Path(values['config']), seed=int(values['seed']), realtime=values['realtime'] == 'true')


def generate_launch_description():
    return describe(with_world, use_sim_time=True, seed='1', realtime='true')
