"""Plans of bytes, and processes that build them; here, since spawned processes import what they run."""

import time
from dataclasses import replace

from datasets.small_jobs import limit_files

from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.tensorrt_cache import PlanCache, PlanKey

KEY = PlanKey('onnx 1', 'recipe 1', 'FP16 and INT8', '10.3.0', 'Orin 8.7', ('images float32 (1, 3)',))
PLAN = b'plan\nof a network' * 100


class Builder:
    """Gives a plan and counts."""

    def __init__(self, plan=PLAN):
        self.plan, self.builds = plan, 0

    def __call__(self):
        self.builds += 1
        return self.plan


def loaded(plan):
    return None if plan == b'bad' else ('loaded', plan)


def build_on_a_full_disk(folder, errors):
    limit_files(1000)
    try:
        PlanCache(folder).load('heads', replace(KEY, onnx='onnx 2'), Builder(), loaded)
    except EngineError as err:
        errors.put(str(err))


def build_slowly(folder):
    def build():
        (folder / 'began').touch()
        while not (folder / 'go').exists():
            time.sleep(0.01)
        return b'of the other process'

    PlanCache(folder).load('heads', KEY, build, loaded)
