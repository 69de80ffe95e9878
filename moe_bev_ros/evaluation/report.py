"""One self-contained HTML page about an evaluation: headline figures, the worst cases first, plots and tables."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import disk_error, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).with_name('templates') / 'report.html.j2'


@dataclass(frozen=True)
class Picture:
    """A PNG with a line below it."""

    caption: str
    png: bytes

    @property
    def base64(self) -> str:
        """For the page."""
        return base64.b64encode(self.png).decode()

    def save(self, path: Path) -> None:
        """Write the PNG, whole or not at all.

        Raises:
            InputError: the disk refuses it; what was there stays.
        """
        temporary = path.with_name(f'.{path.name}')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(self.png)
            temporary.replace(path)
        except OSError as err:
            raise disk_error(err, path) from err


@dataclass(frozen=True)
class Table:
    """Cells are text already; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        odd = [row for row in self.rows if len(row) != len(self.columns)]
        if odd:
            raise ValueError(f'{self.title}: {len(self.columns)} columns, but a row has {len(odd[0])} cells')

    def markdown(self) -> str:
        """The same for RESULTS.md."""
        lines = [self.columns, ('---',) * len(self.columns), *self.rows]
        return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)

    def text(self) -> str:
        """The same for a terminal: names to the left, figures to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(cells[index]) for cells in lines) for index in range(len(self.columns))]
        padded = [
            [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))] for cells in lines
        ]
        return '\n'.join('  '.join(cells).rstrip() for cells in padded)


@dataclass(frozen=True)
class Report:
    """What is on the page, in this order."""

    title: str
    note: str
    headline: tuple[tuple[str, str], ...]
    worst: tuple[Picture, ...] = ()
    plots: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()


def write_report(path: Path, report: Report) -> None:
    """Write the page, whole or not at all.

    Raises:
        InputError: jinja2 is not installed, or the file cannot be written.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as err:
        raise InputError('jinja2 is not installed; pip install "moe-bev-ros[evaluation]"') from err
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    text = environment.from_string(TEMPLATE.read_text()).render(report=report)
    write_text(path, text)


def new_figure(width: float = 6.4, height: float = 4.4) -> Figure:
    """A figure of matplotlib without any window system [inches].

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise InputError('matplotlib is not installed; pip install "moe-bev-ros[evaluation]"') from err
    return Figure(figsize=(width, height), layout='constrained')


def picture_of(figure: Figure, caption: str, dots_per_inch: int = 100) -> Picture:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=dots_per_inch)
    return Picture(caption, buffer.getvalue())


def number(value: Any, digits: int = 3) -> str:
    """A figure as text; a dash where it is not defined or not given."""
    return f'{value:.{digits}f}' if isinstance(value, float) else '-' if value is None else str(value)


def with_interval(row: dict[str, Any] | None, digits: int = 3) -> str:
    """Text of ``value``, ``low`` and ``high``."""
    if row is None or row['value'] is None:
        return '-'
    text = number(float(row['value']), digits)
    return text if row['low'] is None else f'{text} ({number(float(row["low"]), digits)}..{number(float(row["high"]), digits)})'
