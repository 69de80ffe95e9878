"""The page about a suite holds every kind, the worst run first, and a picture of it."""

from dataclasses import replace

from moe_bev_ros.evaluation.driving.closed_loop import run_case
from moe_bev_ros.evaluation.driving.report import drive_report
from moe_bev_ros.evaluation.driving.runs import DrivenSuite
from moe_bev_ros.evaluation.driving.suites import DriveCase, DriveRow
from moe_bev_ros.evaluation.driving.summary import judge, summary
from moe_bev_ros.evaluation.report import write_report


def test_the_page_shows_the_worst_run_first(tmp_path):
    good = run_case(DriveCase(1_000_000, 'free_driving', 0.5), DriveRow())
    fault = 'car after 0.1 s: the ego hit it with its front'
    bad = replace(good, kind='cut_in', collision_score=0.0, collisions=(fault,), collisions_at_fault=(fault,))
    judged = judge(DrivenSuite((good, bad), (1.0, 1.0)))
    report = drive_report('quick: truth', judged, summary(judged))
    assert dict(report.headline)['at fault'] == '1'
    assert 'cut_in' in report.worst[0].caption
    assert fault in report.worst[0].caption
    assert [row[0] for row in report.tables[0].rows] == ['cut_in', 'free_driving', 'all']
    page = tmp_path / 'page.html'
    write_report(page, report)
    assert page.read_text().count('data:image/png;base64,') == 3
