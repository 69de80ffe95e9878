import os
import subprocess
import sys

from moe_bev_ros.evaluation.bench.foreign_load import CpuTimes, cpu_times, foreign_share, machine_ticks, own_ticks

BEFORE = 'cpu  100 0 50 800 10 5 5 30 7 0\ncpu0 50 0 25 400 5 2 3 15 3 0\n'
AFTER = 'cpu  190 0 70 870 20 5 5 40 9 0\ncpu0 95 0 35 435 10 2 3 20 4 0\n'
OURS = '4711 (moe-bev (1) x) S 1 4711 4711 0 -1 4194304 9 0 0 0 {user} {system} {children} 0 20 0 8 0 100 0 0'


def test_what_is_neither_idle_nor_ours_is_foreign():
    before = CpuTimes(*machine_ticks(BEFORE), own_ticks(OURS.format(user=40, system=10, children=0)))
    after = CpuTimes(*machine_ticks(AFTER), own_ticks(OURS.format(user=110, system=20, children=10)))
    assert (before.total, before.busy) == (1000, 190)  # waiting for a disk is idle, stolen time is not
    assert after.total - before.total == 200
    assert foreign_share(before, after) == (120 - 90) / 200


def test_ours_alone_leaves_nothing_foreign_even_where_ticks_were_counted_late():
    assert foreign_share(CpuTimes(1000, 500, 100), CpuTimes(1200, 600, 205)) == 0.0
    assert foreign_share(CpuTimes(1000, 500, 100), CpuTimes(1000, 500, 100)) == 0.0


def test_the_time_of_a_process_of_ours_is_found_and_one_that_is_gone_is_left_out():
    with subprocess.Popen([sys.executable, '-c', 'while True: pass']) as child:
        try:
            begin = cpu_times([child.pid, 2**22 + 1])
            now = begin
            while now.own - begin.own < 5:
                now = cpu_times([child.pid, 2**22 + 1])
        finally:
            child.kill()
    assert now.busy - begin.busy >= 4
    assert now.total > begin.total
    assert cpu_times([os.getpid()]).own > 0
