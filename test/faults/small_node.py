"""A real lifecycle node of a few lines: ``python -m faults.small_node`` passes a number on, as the stack passes a frame on."""

from __future__ import annotations

from dataclasses import dataclass

from std_msgs.msg import UInt64

from moe_bev_ros.nodes.base import StackNode, run
from moe_bev_ros.nodes.params import param


@dataclass(frozen=True)
class SmallParams:
    """Parameters of the small node."""

    rate_hz: float = param(0.0, 'it is a source of that rate; 0: it passes on what it hears [Hz]')


class SmallNode(StackNode[SmallParams]):
    def __init__(self, name: str = 'small_node') -> None:
        super().__init__(name, SmallParams)

    def setup(self) -> None:
        output = self.advertise(UInt64, '~/output/number')
        if self.params.rate_hz:
            self.every(1.0 / self.params.rate_hz, lambda: output.publish(UInt64(data=self.now_ns())))
        else:
            self.subscribe(UInt64, '~/input/number', lambda message, _: output.publish(message), stamped=False)


if __name__ == '__main__':
    run(SmallNode)
