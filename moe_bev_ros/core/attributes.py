"""nuScenes' attributes of a road user, in the order in which a network names them."""

from __future__ import annotations

from moe_bev_ros.core.objects import Label

ATTRIBUTES = (
    'vehicle.moving',
    'vehicle.stopped',
    'vehicle.parked',
    'cycle.with_rider',
    'cycle.without_rider',
    'pedestrian.moving',
    'pedestrian.standing',
    'pedestrian.sitting_lying_down',
)
NO_ATTRIBUTE = 255
_VEHICLE, _CYCLE, _PEDESTRIAN = (0, 1, 2), (3, 4), (5, 6, 7)
# Which attributes a class may have, as indices of ATTRIBUTES; cones and barriers have none.
ATTRIBUTES_OF = {
    Label.CAR: _VEHICLE,
    Label.TRUCK: _VEHICLE,
    Label.BUS: _VEHICLE,
    Label.TRAILER: _VEHICLE,
    Label.CONSTRUCTION_VEHICLE: _VEHICLE,
    Label.PEDESTRIAN: _PEDESTRIAN,
    Label.MOTORCYCLE: _CYCLE,
    Label.BICYCLE: _CYCLE,
    Label.TRAFFIC_CONE: (),
    Label.BARRIER: (),
}
