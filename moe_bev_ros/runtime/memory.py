"""How a process that answers frame after frame handles its memory.

Images come and go ten times a second. glibc gives blocks of their size back to the kernel at once, which then clears the same
pages again for the next one; and Python's collector searches all that was ever imported for garbage, again and again, because
a message makes thousands of small objects.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGEST_KEPT, MOST_KEPT = 32 << 20, 256 << 20  # bytes: of a block, and of what is free at the end of the heap
YOUNG = 20_000  # objects made before the collector looks for garbage among them


def keep_freed_memory() -> None:
    """Let freed blocks stay with this process, to be used again; where the C library is not glibc, nothing."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL('libc.so.6').mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT)


def spare_what_lasts() -> None:
    """Spare the collector all objects that are there now: they last as long as the process."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
