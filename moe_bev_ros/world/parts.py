"""Flattens a scene to one table of solids, which is all that the render kernels see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.props import traffic_light_parts
from moe_bev_ros.world.scene import Actor, Body, Part, Prop, Signal
from moe_bev_ros.world.terrain import Terrain

# Columns of a table: centre in map [m], heading, half sizes [m], looks, velocity in map [m/s],
# height of the ground on which the owner stands [m], 1 / half sizes.
CX, CY, CZ, COS, SIN, HX, HY, HZ, SHAPE, RED, GREEN, BLUE, REFLECTIVITY, GLOW, TEXTURE, VX, VY, BASE, IX, IY, IZ = range(21)
NUM_COLUMNS = 21


class Placed(Protocol):
    """Anything with a pose in map."""

    @property
    def x(self) -> float:  # noqa: D102
        ...

    @property
    def y(self) -> float:  # noqa: D102
        ...

    @property
    def yaw_rad(self) -> float:  # noqa: D102
        ...


def local_table(parts: Sequence[Part]) -> Array:
    """(P, NUM_COLUMNS) rows of parts in their owner's frame, at rest."""
    rows = []
    for part in parts:
        heading = (np.cos(part.yaw_rad), np.sin(part.yaw_rad))
        looks = (float(part.shape), *part.colour, part.reflectivity, part.glow, float(part.texture))
        rest = (0.0, 0.0, 0.0, *(2.0 / size for size in part.size_3))
        rows.append((*part.centre_3, *heading, *(0.5 * size for size in part.size_3), *looks, *rest))
    return np.array(rows, np.float64).reshape(-1, NUM_COLUMNS)


def placed_table(local_pk: Array, owner_x_p: Array, owner_y_p: Array, owner_yaw_p: Array, base_p: Array) -> Array:
    """Move (P, NUM_COLUMNS) rows from their owners' frames to map, given each row's owner pose and ground height."""
    cos, sin = np.cos(owner_yaw_p), np.sin(owner_yaw_p)
    table = local_pk.copy()
    table[:, CX] = owner_x_p + cos * local_pk[:, CX] - sin * local_pk[:, CY]
    table[:, CY] = owner_y_p + sin * local_pk[:, CX] + cos * local_pk[:, CY]
    table[:, CZ] += base_p
    table[:, BASE] = base_p
    table[:, COS] = cos * local_pk[:, COS] - sin * local_pk[:, SIN]
    table[:, SIN] = sin * local_pk[:, COS] + cos * local_pk[:, SIN]
    return table


def table_at(parts: Sequence[Part], owner: Placed, terrain: Terrain) -> Array:
    """Rows of one owner's parts, in map."""
    local = local_table(parts)
    num = len(local)
    base = terrain.height(np.array([(owner.x, owner.y)]))[0]
    return placed_table(local, np.full(num, owner.x), np.full(num, owner.y), np.full(num, owner.yaw_rad), np.full(num, base))


class PartTables:
    """Tables of one world; what does not change between two instants is kept."""

    def __init__(self, props: Sequence[Prop], terrain: Terrain) -> None:
        tables = [table_at(prop.parts, prop, terrain) for prop in props]
        self.static_pk = np.concatenate([np.zeros((0, NUM_COLUMNS)), *tables])
        self._terrain = terrain
        self._lights: dict[Signal, Array] = {}
        self._bodies: tuple[Body, ...] = ()
        self._local_pk = np.zeros((0, NUM_COLUMNS))
        self._actor_p = np.zeros(0, np.int64)

    def actors(self, actors: Sequence[Actor]) -> tuple[Array, NDArray[np.int64]]:
        """Rows of all actors, with their velocities, and (P,) the index of each row's actor."""
        bodies = tuple(actor.body for actor in actors)
        if bodies != self._bodies:
            locals_ = [local_table(body.parts) for body in bodies]
            self._bodies = bodies
            self._local_pk = np.concatenate([np.zeros((0, NUM_COLUMNS)), *locals_])
            self._actor_p = np.repeat(np.arange(len(bodies)), [len(rows) for rows in locals_])
        state = np.array([(a.x, a.y, a.yaw_rad, a.speed_mps) for a in actors], np.float64).reshape(-1, 4)
        base = np.zeros(len(state)) if self._terrain.is_flat else self._terrain.height(state[:, :2])
        x, y, yaw, speed = state[self._actor_p].T
        table = placed_table(self._local_pk, x, y, yaw, base[self._actor_p])
        table[:, VX], table[:, VY] = speed * np.cos(yaw), speed * np.sin(yaw)
        return table, self._actor_p

    def lights(self, lights: Sequence[Signal]) -> Array:
        """Rows of all signals in their states now."""
        for light in lights:
            if light not in self._lights:
                self._lights[light] = table_at(traffic_light_parts(light), light, self._terrain)
        return np.concatenate([np.zeros((0, NUM_COLUMNS)), *(self._lights[light] for light in lights)])
