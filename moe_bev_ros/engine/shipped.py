"""Where the networks lie that come with the package."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / 'weights'
PROFILE = 'tiny'
WEIGHTS = FOLDER / f'{PROFILE}.safetensors'
