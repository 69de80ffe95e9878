"""The networks that ``moe-bev quantise`` compares: one float network, quantised in more and more careful ways."""

from __future__ import annotations

from dataclasses import dataclass

from moe_bev_ros.learning.calibration import RULES
from moe_bev_ros.learning.quantisation_policy import FLOAT, INT8, Rule
from moe_bev_ros.learning.quantisers import Bits

BEST = 'best'  # each branch by the rule that suits it
REFERENCE = 'FP32'
QAT, VGD = 'QAT', 'QAT + VGD'
INT8_BITS, W4A6 = Bits(8, 8), Bits(4, 6)
LEADING, REST = 'attention.leading', 'attention.rest'
ATTENTION_LAYERS = ('query', 'out', 'mlp.0', 'mlp.2')


@dataclass(frozen=True)
class Row:
    """One of them.

    Attributes:
        bits: None: float.
        rule: of the ranges; one of RULES, or BEST.
        training: none, QAT or VGD.
        points: which key points are float: leading, as the policy says; trailing: as many of the least important ones; none.
        run_time: of the exported network; none: torch, which computes in float with values on the grid.
    """

    name: str
    bits: Bits | None = INT8_BITS
    rule: str = BEST
    training: str = ''
    points: str = 'leading'
    run_time: str = ''

    @property
    def slug(self) -> str:
        """The name as a file has it."""
        return self.name.lower().replace(' + ', '_').replace(', ', '_').replace(' ', '_')

    @property
    def policy_rules(self) -> tuple[Rule, ...]:
        """What it adds to the policy."""
        leading = {'leading': (), 'trailing': (INT8, FLOAT), 'none': (INT8, INT8)}[self.points]
        branches = zip((LEADING, REST), leading)
        return tuple((f'{branch}.{layer}', precision) for branch, precision in branches for layer in ATTENTION_LAYERS)


DEPLOYED = Row(f'INT8 {VGD}', training=VGD)


def quantisation_rows() -> tuple[Row, ...]:
    """All, the reference first; a row comes after the one that it is made from."""
    return (
        Row(REFERENCE, None),
        *(Row(f'INT8 PTQ, {rule}', rule=rule) for rule in RULES),
        Row('INT8 PTQ'),
        Row(f'INT8 {QAT}', training=QAT),
        DEPLOYED,
        Row('INT8 PTQ, last fifth of the key points float', points='trailing'),
        Row('INT8 PTQ, no key point float', points='none'),
        Row('W4A6 PTQ', W4A6),
        Row(f'W4A6 {QAT}', W4A6, training=QAT),
        Row(f'W4A6 {VGD}', W4A6, training=VGD),
        Row(f'{DEPLOYED.name}, in onnxruntime', training=VGD, run_time='onnxruntime'),
        Row(f'{DEPLOYED.name}, in OpenVINO', training=VGD, run_time='openvino'),
    )
