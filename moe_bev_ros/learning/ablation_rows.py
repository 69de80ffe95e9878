"""The networks that an ablation compares: each differs from the reference in one mechanism.

All begin with the weights of one network that is dense in everything and remembers nothing, so that no mechanism but dense
attention has been practised before, and then learn from equally many frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from moe_bev_ros.learning.train_config import TrainConfig
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.sparse_attention import attention_macs, scorer_macs

REFERENCE = 'reference'
DENSE_EXPERTS = 2  # a convolution and the temporal one on every patch: about the MACs of the routed ones at 65 % sparsity


class Goal(Enum):
    """What the difference between a row and the reference must show."""

    NONE = ''
    KEPT = 'the reference keeps 99 % of its NDS'
    WORSE = 'the reference is better'
    ONE_POINT_WORSE = 'the reference is at least 1 NDS point better'
    NOT_BETTER = 'the reference is not worse'
    BETTER = 'better than the reference'
    LESS_PRECISE = 'the reference has 10 % less error in velocity and forecast'


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        part: the mechanism that differs.
        config: of the network; rows with the same config share their weights.
        experts: frame experts that always run; none: the dispatcher chooses.
    """

    name: str
    part: str
    config: ModelConfig
    experts: tuple[str, ...] = ('fused',)
    goal: Goal = Goal.NONE

    @property
    def slug(self) -> str:
        """The name as a file has it."""
        return self.name.replace(' ', '_').replace(',', '')


def ablation_rows(config: ModelConfig) -> tuple[Row, ...]:
    """All rows about a network, the reference first."""

    def row(name: str, part: str, goal: Goal, **changes: object) -> Row:
        return Row(name, part, replace(config, **changes), goal=goal)  # type: ignore[arg-type]

    points = points_at_equal_cost(config)
    return (
        Row(REFERENCE, 'all', config),
        row('dense attention', 'attention', Goal.KEPT, selection='dense', num_key_points=config.num_blocks),
        row('gradient points', 'attention', Goal.NONE, selection='gradient'),
        row('random points', 'attention', Goal.WORSE, selection='random', num_key_points=points),
        row('grid points', 'attention', Goal.WORSE, selection='grid', num_key_points=points),
        row('random routing', 'routing', Goal.ONE_POINT_WORSE, routing='random'),
        row('dense experts', 'routing', Goal.NOT_BETTER, routing='dense', sparsity=0.0, num_experts=DENSE_EXPERTS),
        row('no memory', 'memory', Goal.LESS_PRECISE, memory='none'),
        row('recurrent map', 'memory', Goal.LESS_PRECISE, memory='recurrent'),
        row('query queue', 'memory', Goal.LESS_PRECISE, memory='queue'),
        row('two stacked frames', 'memory', Goal.LESS_PRECISE, memory='stack2'),
        row('ten sweeps', 'memory', Goal.LESS_PRECISE, memory='sweeps10'),
        Row('dispatcher', 'frame experts', config, (), Goal.BETTER),
        Row('camera only', 'frame experts', config, ('camera',)),
        Row('lidar only', 'frame experts', config, ('lidar',)),
    )


def points_at_equal_cost(config: ModelConfig) -> int:
    """Key points of an image that can be afforded where nothing is scored: those that the scorer costs are added."""
    of_one = (attention_macs(config, 1) - attention_macs(config, 0)) / config.num_cameras
    return min(config.num_blocks, config.num_key_points + round(scorer_macs(config) / of_one))


def spent_attention_macs(config: ModelConfig) -> int:
    """Multiply-adds of the attention in one frame; a gradient costs a pass with every block, and about twice that backwards."""
    looks = attention_macs(config, config.num_key_points)
    return looks + 3 * attention_macs(config, config.num_blocks) if config.selection == 'gradient' else looks


def first_config(config: ModelConfig) -> ModelConfig:
    """The network whose weights all rows begin with: every block a query, every expert on every patch, no memory."""
    name = f'{config.name}_first'
    points = config.num_blocks
    return replace(config, name=name, selection='dense', num_key_points=points, routing='dense', sparsity=0.0, memory='none')


def first_training(config: TrainConfig, num_frames: int) -> TrainConfig:
    """How it is trained; poor_sight stays as it is made, until the rows copy it from fused."""
    return replace(config, num_frames=num_frames, specialise_share=1.0)


def row_training(config: TrainConfig, num_frames: int, seed: int) -> TrainConfig:
    """How every row is trained: half the rate, with the whole sparsity after a fifth of the frames."""
    return replace(
        config,
        num_frames=num_frames,
        seed=seed,
        rate=0.5 * config.rate,
        warm_up_share=0.05,
        decay_share=0.5,
        dense_share=0.0,
        full_sparsity_share=0.2,
        specialise_share=0.0,
    )
