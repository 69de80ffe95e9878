"""A control node and everybody around it, for its tests."""

from contextlib import contextmanager

from control.vehicle_model import Bicycle, cruise
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool

from harness import ros
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.msg import Objects, Trajectory, VehicleCommand
from moe_bev_ros.nodes.base import STATE_QOS, stamp_to_ns
from moe_bev_ros.nodes.control_node import ControlNode
from moe_bev_ros.nodes.convert import header, plan_to_msg, pose_to_msg, scene_to_msg, time_to_msg

SIMULATED = {'use_sim_time': True}
TRACE = Trace(1).passed('planner_node', 2, 3)


def odometry(stamp_ns, speed_mps=8.0, frame_id='map'):
    message = Odometry(header=header(stamp_ns, frame_id), child_frame_id='base_link')
    message.pose.pose = pose_to_msg(Bicycle(speed_mps).ego(0.0).odom_se3_base_link)
    message.twist.twist.linear.x = speed_mps
    return message


def trajectory(stamp_ns, **changes):
    message = plan_to_msg(cruise(8.0, 3.0, stamp_s=0.0), TRACE)
    message.header.stamp = time_to_msg(stamp_ns)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def seen(stamp_ns, *objects, valid=True):
    return scene_to_msg(Scene(stamp_ns, objects, valid, valid, True), 'clustering', Trace())


class Bench:
    """A control node and everybody around it."""

    def __init__(self, harness, activate=True):
        self.harness = harness
        self.clock = harness.peer.create_publisher(Clock, '/clock', 10)
        self.node = harness.start(ControlNode, activate=activate)
        self.commands = harness.listen(VehicleCommand, '/control_node/output/command', 100)
        if activate:
            self.connect()

    def connect(self):
        self.plans = self.harness.talk(Trajectory, '/control_node/input/trajectory', STATE_QOS)
        self.odometry = self.harness.talk(Odometry, '/control_node/input/odometry', STATE_QOS)
        self.objects = self.harness.talk(Objects, '/control_node/input/objects', STATE_QOS)
        self.harness.spin_until(lambda: self.node.count_subscribers('/control_node/output/command') > 0)

    def tick(self, stamp_ns):
        """Move simulated time."""
        self.clock.publish(Clock(clock=time_to_msg(stamp_ns)))
        self.harness.spin_until(lambda: self.node.now_ns() == stamp_ns)

    def answer(self, message):
        """The one command that answers a plan."""
        before = len(self.answers())
        self.plans.publish(message)
        self.harness.spin_until(lambda: len(self.answers()) > before)
        return self.answers()[-1]

    def answers(self):
        return [command for command in self.commands if command.first_of_plan]

    def know(self, message, scene=None):
        """Publish odometry and what is seen at its stamp, by default an empty road, and wait until the node has them."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.hand(self.odometry, message, 'odometry')
        self.hand(self.objects, scene or seen(stamp_ns), 'objects')

    def hand(self, publisher, message, topic):
        health = self.node.inputs[f'/control_node/input/{topic}']
        before = health.num_received
        publisher.publish(message)
        self.harness.spin_until(lambda: health.num_received > before)

    def engage(self, stamp_ns):
        """Let simulated time begin, or go on, with a plan that can be followed, and engage."""
        self.tick(stamp_ns)
        self.know(odometry(stamp_ns))
        self.answer(trajectory(stamp_ns))
        result = self.call(True)
        assert (result.success, result.message) == (True, 'engaged')
        self.commands.clear()

    def call(self, engage):
        client = self.harness.peer.create_client(SetBool, '/control_node/engage')
        self.harness.spin_until(client.service_is_ready)
        future = client.call_async(SetBool.Request(data=engage))
        self.harness.spin_until(future.done)
        return future.result()


@contextmanager
def simulated_bench():
    """In simulated time, engaged, at 5 s."""
    with ros(SIMULATED) as harness:
        bench = Bench(harness)
        bench.engage(4_900_000_000)
        bench.tick(5_000_000_000)
        yield bench
