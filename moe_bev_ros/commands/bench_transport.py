"""``moe-bev bench transport``: do six raw cameras get from one process to another through the shipped transport profile?"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.runtime.environment import PROFILE_VARIABLES, node_environment

HEIGHT, WIDTH, DEPTH = 900, 1600, 5
TOPIC = '/moe_bev/bench_transport/camera_{}'
ROLES = ('receive', 'send')
START_S = 20.0
IDLE_S = 4.0


@dataclass(frozen=True)
class TransportResult:
    """What arrived. Latency is from just before publish to the callback, CLOCK_MONOTONIC [ms]."""

    reliable: bool
    sent: int
    received: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    rate_hz: float

    @property
    def lost(self) -> int:
        """Images that were sent and did not arrive."""
        return self.sent - self.received


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev bench transport``."""
    parser.add_argument('--seconds', type=float, default=30.0, help='how long to send [s] (default 30)')
    parser.add_argument('--cameras', type=int, default=6, help='number of 1600 x 900 rgb8 cameras (default 6)')
    parser.add_argument('--rate', type=float, default=10.0, help='images per second of each camera (default 10)')
    parser.add_argument('--reliable-only', action='store_true', help='leave out the best-effort row')


def run(args: argparse.Namespace) -> int:
    """Print one row per reliability; 1 when a reliable image was lost."""
    environment = node_environment(os.environ)
    profile = environment.get(PROFILE_VARIABLES[0]) or environment.get(PROFILE_VARIABLES[1])
    _say(f'{args.cameras} cameras, {WIDTH} x {HEIGHT} rgb8, {args.rate:g} Hz, {args.seconds:g} s, two processes; {profile}')
    _say('reliability    sent  received  lost  p50 ms  p99 ms  max ms  rate Hz')
    lost = 0
    for reliable in [True] if args.reliable_only else [True, False]:
        result = measure(args.cameras, args.rate, args.seconds, reliable=reliable)
        name = 'reliable' if reliable else 'best effort'
        numbers = f'{result.p50_ms:7.1f} {result.p99_ms:7.1f} {result.max_ms:7.1f} {result.rate_hz:8.2f}'
        _say(f'{name:12} {result.sent:6} {result.received:9} {result.lost:5} {numbers}')
        lost += result.lost if reliable else 0
    return 1 if lost else 0


def measure(cameras: int, rate_hz: float, seconds: float, *, reliable: bool) -> TransportResult:
    """Send from one fresh process to another.

    Raises:
        InputError: one of the two failed; the text holds what it wrote.
    """
    frames = max(1, round(seconds * rate_hz))
    options = [str(cameras), str(frames), str(rate_hz), str(int(reliable))]
    command = [sys.executable, '-m', 'moe_bev_ros.commands.bench_transport']
    processes = [
        subprocess.Popen(
            [*command, role, *options],
            env=node_environment(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in ROLES
    ]
    try:
        outputs = [process.communicate(timeout=START_S + 3.0 * seconds + 60.0) for process in processes]
    except subprocess.TimeoutExpired as err:
        raise InputError(
            f'the transport came to a halt after {err.timeout:.0f} s; look at /dev/shm and at the profile'
        ) from err
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for role, process, (_, errors) in zip(ROLES, processes, outputs):
        if process.returncode:
            raise InputError(f'the process that should {role} failed: {errors.strip()[-2000:]}')
    received, sent = (json.loads(output.splitlines()[-1]) for output, _ in outputs)
    p50_ms, p99_ms, max_ms = received['latency_ms']
    return TransportResult(reliable, sent['sent'], received['received'], p50_ms, p99_ms, max_ms, sent['rate_hz'])


def _send(cameras: int, frames: int, rate_hz: float, reliable: bool) -> dict[str, float]:
    import rclpy
    from rclpy.duration import Duration
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    rclpy.init()
    node = Node('bench_transport_sender')
    publishers = [node.create_publisher(Image, TOPIC.format(index), _qos(reliable)) for index in range(cameras)]
    deadline = time.monotonic() + START_S
    while not all(publisher.get_subscription_count() for publisher in publishers):
        if time.monotonic() > deadline:
            raise InputError(f'no subscriber within {START_S:g} s')
        time.sleep(0.05)
    pixels = array.array('B', bytes(range(256)) * (HEIGHT * WIDTH * 3 // 256))
    message = Image(height=HEIGHT, width=WIDTH, encoding='rgb8', step=WIDTH * 3, data=pixels)
    began = time.monotonic()
    for frame in range(frames):
        for publisher in publishers:
            message.header.frame_id = str(frame)
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.monotonic_ns(), 1_000_000_000)
            publisher.publish(message)
        time.sleep(max(0.0, began + (frame + 1) / rate_hz - time.monotonic()))
    elapsed_s = time.monotonic() - began
    for publisher in publishers if reliable else []:
        publisher.wait_for_all_acked(Duration(seconds=20))
    time.sleep(IDLE_S)  # a sender that leaves takes its shared memory along
    node.destroy_node()
    rclpy.shutdown()
    return {'sent': frames * cameras, 'rate_hz': frames / elapsed_s}


def _receive(cameras: int, frames: int, rate_hz: float, reliable: bool) -> dict[str, Any]:
    import numpy as np
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    rclpy.init()
    node, executor = Node('bench_transport_receiver'), SingleThreadedExecutor()
    latencies_ms: list[float] = []

    def on_image(message: Image) -> None:
        sent_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        latencies_ms.append((time.monotonic_ns() - sent_ns) / 1e6)

    for index in range(cameras):
        node.create_subscription(Image, TOPIC.format(index), on_image, _qos(reliable))
    executor.add_node(node)
    quiet_until = time.monotonic() + START_S
    while len(latencies_ms) < frames * cameras and time.monotonic() < quiet_until:
        before = len(latencies_ms)
        executor.spin_once(timeout_sec=0.2)
        if len(latencies_ms) > before:
            quiet_until = time.monotonic() + IDLE_S + 2.0 / rate_hz
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    percentiles = np.percentile(latencies_ms, [50, 99, 100]).tolist() if latencies_ms else [float('nan')] * 3
    return {'received': len(latencies_ms), 'latency_ms': percentiles}


def _qos(reliable: bool) -> Any:
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    return QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == '__main__':
    role, num_cameras, num_frames, rate, is_reliable = sys.argv[1:]
    work = {'send': _send, 'receive': _receive}[role]
    _say(json.dumps(work(int(num_cameras), int(num_frames), float(rate), is_reliable == '1')))
