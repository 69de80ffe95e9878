"""From the light of each pixel to images, as tensors: the twin of `imaging`, all images of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_bev_ros.world.casting_torch import Parts, Views, expand, pairs
from moe_bev_ros.world.imaging import (
    BYTE_PAIR_STD,
    EVENNESS,
    GREY,
    HALO_LIGHT,
    HALO_M,
    KNEE,
    LEAST_FLOW,
    LEAST_GAIN,
    MIN_GLOW,
    MOST_GAIN,
    MOST_TAPS,
    STREAKS_PER_MM_PER_H,
    VEIL,
    VIGNETTE,
    WHITE,
)
from moe_bev_ros.world.parts import BLUE, CX, CY, CZ, GLOW, GREEN, RED
from moe_bev_ros.world.solids_torch import LOW_32, noise
from moe_bev_ros.world.weather import GLOW as SUN_GLOW
from moe_bev_ros.world.weather import LAMPS, SUN_X, SUN_Z, THICKNESS


def add_halos(parts: Parts, views: Views, air_kw: Tensor, depth_ihw: Tensor, light_3ihw: Tensor) -> None:
    """Spread the light of glowing parts that are in view over their neighbourhood."""
    image, part = pairs(parts.starts, views.frame_i)
    shines = (parts.table_kp[GLOW, part] >= MIN_GLOW) & (air_kw[LAMPS, views.world_i[image]] > 0.0)
    image, part = image[shines], part[shines]
    table, air = parts.table_kp[:, part], air_kw[:, views.world_i[image]].double()
    offset, (fx, fy, cx, cy) = table[[CX, CY, CZ]] - views.origin_3i[:, image], views.pinhole_4i[:, image]
    right, down, ahead = (views.rotation_33i[..., image] * offset[:, None]).sum(0)
    near = ahead.clamp(min=1.0)
    u, v = cx + fx * right / near, cy + fy * down / near
    seen = (ahead > 1.0) & (ahead < 150.0) & (u >= 0.0) & (u < views.width) & (v >= 0.0) & (v < views.height)
    row, column = v.long().clamp(0, views.height - 1), u.long().clamp(0, views.width - 1)
    seen &= depth_ihw[image, row, column] >= ahead - 0.35
    radius = (HALO_M * (1.0 + (40.0 * air[THICKNESS]).clamp(max=1.5)) * fx / near).clamp(2.0, 18.0)
    light = HALO_LIGHT * table[GLOW] / (1.0 + ahead * air[THICKNESS])
    top, left = (v - radius).long().clamp(min=0), (u - radius).long().clamp(min=0)
    rows, columns = (v + radius).long() + 2, (u + radius).long() + 2
    rows, columns = rows.clamp(max=views.height) - top, columns.clamp(max=views.width) - left
    colours, flat = table[[RED, GREEN, BLUE]], light_3ihw.reshape(3, -1)
    for n, x, y in expand(columns.clamp(min=0) * seen, rows.clamp(min=0) * seen):
        j, i = left[n] + x, top[n] + y
        square = ((j + 0.5 - u[n]) ** 2 + (i + 0.5 - v[n]) ** 2) / radius[n] ** 2
        here = light[n] * (1.0 - square).clamp(min=0.0) ** 3
        flat.index_add_(1, (image[n] * views.height + i) * views.width + j, (here * colours[:, n]).float())


def add_veil(views: Views, air_kw: Tensor, veiled_i: Tensor, light_3ihw: Tensor) -> None:
    """Stray light of a sun that shines into the lens, where ``veiled_i`` says so."""
    air = air_kw[:, views.world_i].double()
    right, down, ahead = (views.rotation_33i * air[SUN_X : SUN_Z + 1][:, None]).sum(0)[..., None, None]
    a, b = _tangents(views)
    cosine = ((a * right + b * down + ahead) / torch.sqrt(1.0 + a * a + b * b)).clamp(min=0.0)
    veil = ((VEIL * air[SUN_GLOW] * veiled_i)[:, None, None] * cosine**4).float()
    for channel, share in enumerate((1.0, 0.92, 0.75)):
        light_3ihw[channel] += share * veil


def _tangents(views: Views) -> tuple[Tensor, Tensor]:
    """(I, 1, W) and (I, H, 1) where pixels are seen, at distance 1."""
    fx, fy, cx, cy = views.pinhole_4i[..., None]
    u, v = (torch.arange(size, device=fx.device) + 0.5 for size in (views.width, views.height))
    return ((u - cx) / fx)[:, None, :], ((v - cy) / fy)[:, :, None]


def add_streaks(rain_mm_per_h_i: Tensor, horizon_red_i: Tensor, seed_i: Tensor, light_3ihw: Tensor) -> None:
    """Drops that fall through the images while the shutter is open, lit by the sky.

    A drop takes a share of what its pixel lacks to 400, so the order of drops does not matter.
    """
    _, _, height, width = light_3ihw.shape
    count_i = (STREAKS_PER_MM_PER_H * rain_mm_per_h_i * height / 128.0).long()
    image = torch.repeat_interleave(torch.arange(len(count_i), device=count_i.device), count_i)
    n = torch.arange(len(image), device=count_i.device) - (torch.cumsum(count_i, 0) - count_i)[image]
    seed = seed_i[image]
    u, v, longer, slant, brighter = (noise(seed, n, torch.full_like(n, key)) for key in range(11, 16))
    u, v, length, lean = u * width, v * height, ((0.03 + 0.09 * longer) * height).long(), 0.25 * (slant - 0.5)
    left = torch.zeros_like(light_3ihw[0]).reshape(-1)
    for m, _, k in expand(torch.ones_like(length), length):
        i, j = (v[m] + k).long(), (u[m] + lean[m] * k).long()
        inside = (i < height) & (u[m] + lean[m] * k > -1.0) & (j < width)
        index = (image[m] * height + i) * width + j
        light = (10.0 + horizon_red_i[image[m]]) * (0.08 + 0.16 * brighter[m])
        share = torch.log1p(-light / 400.0).float()
        left.index_add_(0, torch.where(inside, index, 0), torch.where(inside, share, 0.0))
    light_3ihw.copy_(400.0 - (400.0 - light_3ihw) * torch.exp(left).reshape(light_3ihw.shape[1:]))


def blur(motion_6i: Tensor, views: Views, depth_ihw: Tensor, light_3ihw: Tensor) -> Tensor:
    """(3, I, H, W) average of the light along each pixel's flow while the shutter is open; see `imaging.flow`."""
    a, b = _tangents(views)
    tx, ty, tz, wx, wy, wz = motion_6i[..., None, None]
    depth = depth_ihw.double()
    x, y, z = -tx / depth - (wy - wz * b), -ty / depth - (wz * a - wx), -tz / depth - (wx * b - wy * a)
    along_u, along_v = ((views.pinhole_4i[k][:, None, None] * value).float() for k, value in ((0, x - a * z), (1, y - b * z)))
    longest = torch.maximum(along_u.abs(), along_v.abs())
    taps = torch.where(longest < LEAST_FLOW, 1, (2 + longest.clamp(max=MOST_TAPS).long()).clamp(max=MOST_TAPS))
    image, v, u = torch.meshgrid(*(torch.arange(n, device=depth.device) for n in depth.shape), indexing='ij')
    total, flat = torch.zeros_like(light_3ihw), light_3ihw.reshape(3, -1)
    for k in range(int(taps.max())):
        f = torch.where(taps == 1, 0.0, (k + 0.5) / taps - 0.5)
        i = (v + 0.5 + f * along_v).long().clamp(0, views.height - 1)
        j = (u + 0.5 + f * along_u).long().clamp(0, views.width - 1)
        total += torch.where(k < taps, flat[:, (image * views.height + i) * views.width + j], 0.0)
    return total / taps


def exposure_gains(light_3ihw: Tensor) -> Tensor:
    """(I,) what an automatic exposure makes of each image."""
    red, green, blue = light_3ihw[:, :, 2::4, 2::4]
    mean = (0.3 * red + 0.6 * green + 0.1 * blue).clamp(max=400.0).mean((1, 2))
    return ((GREY / mean.clamp(min=1.0)) ** EVENNESS).clamp(LEAST_GAIN, MOST_GAIN)


def develop(light_3ihw: Tensor, gain_i: Tensor, noise_std_i: Tensor, seed_i: Tensor) -> Tensor:
    """(I, H, W, 3) uint8 images: vignetting, a soft shoulder, and noise that a hash of place and seed draws."""
    _, _, height, width = light_3ihw.shape
    u, v = (torch.arange(size, device=gain_i.device) for size in (width, height))
    square = ((2 * u + 1 - width) ** 2)[None, :] + ((2 * v + 1 - height) ** 2)[:, None]
    lens = gain_i[:, None, None] * (1.0 - VIGNETTE / (height * height + width * width) * square.float())
    value = light_3ihw * lens
    over, room = (value - float(KNEE)).clamp(min=0.0), float(WHITE - KNEE)
    value = value.clamp(max=float(KNEE)) + room * over / (over + room)
    hashes, grain = _hashes(seed_i, u, v), (noise_std_i / BYTE_PAIR_STD)[:, None, None]
    for channel in range(3):
        value[channel] += grain * ((hashes >> 8 * channel & 255) + (hashes >> 24) - 255)
    return (value + 0.5).clamp(0.0, 255.0).to(torch.uint8).permute(1, 2, 3, 0).contiguous()


def _hashes(seed_i: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """(I, H, W) the hash of `imaging`, a row at a time from the noise of its number."""
    rows = (noise(seed_i[:, None], v[None, :], torch.full_like(v, 5)[None, :]) * 4294967295.0).long()
    h = rows[..., None] + u * 0x9E3779B1
    h = (h ^ (h >> 15)) * 0x2C1B3C6D
    h = (h ^ (h >> 12)) * 0x297A2D39
    return (h ^ (h >> 15)) & LOW_32
