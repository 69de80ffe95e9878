"""Counts, not times: page faults of a process, and what the collector searches."""

import gc
import subprocess
import sys
import weakref

from moe_bev_ros.runtime.memory import spare_what_lasts

IMAGES = """
import resource, sys
from moe_bev_ros.runtime.memory import keep_freed_memory
if sys.argv[1] == 'kept':
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    begun = faults()
    for _ in range(50):
        images = [bytes(540_672) for _ in range(6)]
print(faults() - begun)
"""


def page_faults(how):
    return int(subprocess.run([sys.executable, '-c', IMAGES, how], check=True, capture_output=True, timeout=60).stdout)


def test_blocks_that_come_again_need_no_new_pages():
    assert page_faults('kept') < 0.05 * page_faults('given back')


class Node:
    def __init__(self):
        self.itself = self


def test_what_lasts_is_not_searched_and_new_garbage_is_found():
    thresholds = gc.get_threshold()
    try:
        lasting = [Node() for _ in range(100)]
        spare_what_lasts()
        assert gc.get_freeze_count() > len(lasting)
        assert not any(item is lasting[0] for item in gc.get_objects())
        seen = weakref.ref(Node())
        gc.collect()
        assert seen() is None
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
