"""The controllers to choose from, by name."""

from __future__ import annotations

from collections.abc import Callable

from moe_bev_ros.control.controller import Controller, ControllerSettings
from moe_bev_ros.control.pedal_map import Pedals
from moe_bev_ros.core.command import Vehicle

CONTROLLERS: dict[str, Callable[[Vehicle, Pedals, ControllerSettings], Controller]] = {'pure_pursuit': Controller}
