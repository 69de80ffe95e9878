"""What the graph of the running stack shows."""

from __future__ import annotations

import os
from pathlib import Path

from harness import ros
from moe_bev_ros.msg import VehicleCommand
from moe_bev_ros.runtime.environment import config_dir, node_environment
from moe_bev_ros.runtime.processes import Launcher
from moe_bev_ros.runtime.stack import load_stack, sim_stack

TRUTH = '/moe_bev/world/truth'


def test_no_node_of_the_stack_can_see_the_truth(tmp_path: Path) -> None:
    stack = sim_stack(load_stack(config_dir() / 'stack.yaml'), config_dir())
    names = {spec.name for spec in stack.nodes}
    with Launcher(stack, node_environment(os.environ), log_dir=tmp_path), ros() as h:

        def all_is_up() -> bool:
            graph = {name for name, _ in h.peer.get_node_names_and_namespaces()}
            return names <= graph and h.peer.count_publishers(TRUTH) == 1 and len(commands) > 5

        commands = h.listen(VehicleCommand, '/moe_bev/vehicle_command')
        h.spin_until(all_is_up, timeout_s=60.0)
        assert h.peer.get_subscriptions_info_by_topic(TRUTH) == []
        of_this_type = [topic for topic, kinds in h.peer.get_topic_names_and_types() if 'moe_bev_ros/msg/WorldTruth' in kinds]
        assert of_this_type == [TRUTH]  # nor does anyone hear it under another name
