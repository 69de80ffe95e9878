"""The controllers to choose from, by name."""

from __future__ import annotations

from collections.abc import Callable

from moe_bev_ros.control.controller import Controller, ControllerSettings
from moe_bev_ros.control.pedal_map import Pedals
from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.errors import InputError

MakesController = Callable[[Vehicle, Pedals, ControllerSettings], Controller]
CONTROLLERS: dict[str, MakesController] = {'pure_pursuit': Controller}


def controller_row(name: str) -> MakesController:
    """A row of CONTROLLERS.

    Raises:
        InputError: there is none of this name.
    """
    if name not in CONTROLLERS:
        raise InputError(f'no controller {name!r}; choose one of {", ".join(CONTROLLERS)}')
    return CONTROLLERS[name]
