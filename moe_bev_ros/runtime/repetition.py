"""Warnings that come with every message: said once in a while, told apart by their wording and not by their numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SAID_AGAIN_S = 2.0
TEXTS_KEPT = 200
_NUMBER = re.compile(r'(?<![\w/])-?\d+(\.\d+)?')


@dataclass
class Repetition:
    """Remembers when each kind of warning was last said. Times are CLOCK_MONOTONIC seconds."""

    _said: dict[str, tuple[float, str]] = field(default_factory=dict)  # kind of warning: when, and its text

    @property
    def texts(self) -> list[str]:
        """The last text of each kind, the newest at the end, said or not."""
        return [text for _, text in self._said.values()]

    def is_due(self, text: str, now_s: float) -> bool:
        """Whether a text is to be said: one that differs in numbers only was not said within SAID_AGAIN_S."""
        kind = _NUMBER.sub('#', text)
        said_s, _ = self._said.pop(kind, (-1e9, ''))
        is_due = now_s - said_s >= SAID_AGAIN_S
        self._said[kind] = (now_s if is_due else said_s, text)
        if len(self._said) > TEXTS_KEPT:
            del self._said[next(iter(self._said))]
        return is_due
