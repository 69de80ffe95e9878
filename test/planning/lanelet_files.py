"""A small map as Autoware's editor writes it: metres in local_x and local_y, latitude and longitude empty."""

from __future__ import annotations

from pathlib import Path

LANE_WIDTH_M = 3.5
LIGHT_ID = 30


def write_two_lane_road(path: Path, *, local: bool = True) -> Path:
    """Lanes 20 then 21 along +x (36 and 54 km/h), 22 and 23 to their left; a light with a stop line at x = 45 on lane 20."""
    ways, nodes = {}, []

    def way(way_id: int, points: list[tuple[float, float]], tags: dict[str, str]) -> None:
        refs = []
        for x, y in points:
            if (x, y) not in [(n[1], n[2]) for n in nodes]:
                nodes.append((len(nodes) + 100, x, y))
            refs.append(next(n[0] for n in nodes if (n[1], n[2]) == (x, y)))
        ways[way_id] = (refs, tags)

    dashed, solid = {'type': 'line_thin', 'subtype': 'dashed'}, {'type': 'line_thin', 'subtype': 'solid'}
    for number, (x0, x1) in enumerate(((0.0, 50.0), (50.0, 120.0))):
        for row, (y, tags) in enumerate(((-1.75, solid), (1.75, dashed), (5.25, solid))):
            way(10 * (row + 1) + number + 1000, [(x0, y), (0.5 * (x0 + x1), y), (x1, y)], tags)
    way(2000, [(45.0, 1.75), (45.0, -1.75)], {'type': 'stop_line'})
    way(2001, [(55.0, 1.7), (55.0, -1.7)], {'type': 'traffic_light', 'subtype': 'red_yellow_green'})
    lanes = {20: (1020, 1010, 36), 21: (1021, 1011, 54), 22: (1030, 1020, 36), 23: (1031, 1021, 54)}
    lines = ['<?xml version="1.0"?>', '<osm generator="VMB">']
    for node_id, x, y in nodes:
        lines.append(_node(node_id, x, y, local))
    for way_id, (refs, tags) in ways.items():
        members = ''.join(f'<nd ref="{ref}"/>' for ref in refs)
        lines.append(f'<way id="{way_id}">{members}{_tags(tags)}</way>')
    for lane_id, (left, right, limit) in lanes.items():
        rule = f'<member type="relation" role="regulatory_element" ref="{LIGHT_ID}"/>' if lane_id == 20 else ''
        tags = {'type': 'lanelet', 'subtype': 'road', 'location': 'urban', 'one_way': 'yes', 'speed_limit': str(limit)}
        sides = f'<member type="way" role="left" ref="{left}"/><member type="way" role="right" ref="{right}"/>'
        lines.append(f'<relation id="{lane_id}">{sides}{rule}{_tags({**tags, "participant:vehicle": "yes"})}</relation>')
    light = '<member type="way" role="refers" ref="2001"/><member type="way" role="ref_line" ref="2000"/>'
    lines.append(
        f'<relation id="{LIGHT_ID}">{light}{_tags({"type": "regulatory_element", "subtype": "traffic_light"})}</relation>'
    )
    path.write_text('\n'.join([*lines, '</osm>']))
    return path


def _node(node_id: int, x: float, y: float, local: bool) -> str:
    if local:
        return f'<node id="{node_id}" lat="" lon="">{_tags({"local_x": str(x), "local_y": str(y), "ele": "19.5"})}</node>'
    return f'<node id="{node_id}" lat="{y / 110574.0!r}" lon="{x / 111319.5!r}"/>'


def _tags(tags: dict[str, str]) -> str:
    return ''.join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
