import pytest
from datasets import small_jobs

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.worker_processes import run_jobs


def test_every_job_gives_its_result():
    assert sorted(run_jobs(small_jobs.square, [1, 2, 3], workers=2)) == [1, 4, 9]


def test_an_error_stops_the_other_jobs_and_they_clean_up(tmp_path):
    with pytest.raises(InputError, match='two is not wanted'):
        list(run_jobs(small_jobs.fail_at_two, [(1, tmp_path), (2, tmp_path), (3, tmp_path)], workers=2))
    assert (tmp_path / 'ended-1').exists()


def test_a_killed_worker_is_an_error_with_a_cure():
    with pytest.raises(InputError, match='fewer --workers'):
        list(run_jobs(small_jobs.die, [1], workers=1))
