"""Town styles: names that decide how ground, houses, vegetation and street furniture look, and the colours of the ground."""

from __future__ import annotations

from dataclasses import dataclass

from moe_bev_ros.world.network import Surface

HELD_OUT_STYLE = 'desert_town'
STYLES = ('suburb', 'old_town', 'modern', 'industrial', HELD_OUT_STYLE)

Texel = tuple[int, int, int, int]


@dataclass(frozen=True)
class GroundPalette:
    """Red, green, blue and reflectivity of each surface and of paint, each 0..255."""

    grass: Texel = (96, 128, 66, 110)
    foreground: Texel = (150, 146, 136, 80)
    pavement: Texel = (164, 160, 154, 90)
    kerb: Texel = (190, 188, 182, 110)
    parking: Texel = (94, 94, 96, 40)
    asphalt: Texel = (84, 86, 90, 36)
    paint: Texel = (236, 236, 230, 200)

    def of(self, surface: Surface) -> Texel:
        """What a surface looks like."""
        return (self.grass, self.foreground, self.pavement, self.kerb, self.parking, self.asphalt)[surface]


GROUND_PALETTES = {
    'suburb': GroundPalette(),
    'old_town': GroundPalette(
        grass=(104, 118, 72, 105),
        foreground=(158, 144, 124, 85),
        pavement=(148, 140, 130, 75),
        kerb=(168, 162, 154, 100),
        parking=(112, 104, 98, 50),
        asphalt=(98, 94, 92, 44),
        paint=(222, 220, 208, 180),
    ),
    'modern': GroundPalette(
        grass=(84, 136, 70, 115),
        foreground=(176, 176, 176, 100),
        pavement=(184, 184, 186, 105),
        kerb=(206, 206, 206, 120),
        parking=(82, 84, 90, 36),
        asphalt=(66, 68, 74, 30),
        paint=(246, 246, 246, 215),
    ),
    'industrial': GroundPalette(
        grass=(122, 122, 84, 100),
        foreground=(128, 122, 112, 70),
        pavement=(138, 136, 132, 78),
        kerb=(160, 158, 150, 95),
        parking=(104, 102, 100, 46),
        asphalt=(94, 94, 94, 42),
        paint=(214, 212, 196, 165),
    ),
    'desert_town': GroundPalette(
        grass=(186, 160, 116, 125),
        foreground=(196, 174, 138, 115),
        pavement=(202, 188, 164, 112),
        kerb=(214, 200, 174, 125),
        parking=(124, 116, 106, 56),
        asphalt=(112, 108, 102, 50),
        paint=(238, 228, 196, 190),
    ),
}
