from moe_bev_ros.runtime.health import InputHealth


def test_a_topic_without_publisher_is_said() -> None:
    assert 'no publisher' in InputHealth('/camera').problem(0.0)


def test_a_publisher_that_never_sent_is_said() -> None:
    assert 'no message yet' in InputHealth('/camera', num_publishers=1).problem(0.0)


def test_an_optional_topic_may_stay_silent() -> None:
    assert InputHealth('/lights', required=False).problem(0.0) == ''


def test_a_periodic_topic_that_stops_is_said() -> None:
    health = InputHealth('/camera', period_s=0.1, num_publishers=1)
    health.received(10.0)
    assert health.problem(10.2) == ''
    assert 'silent for 1.0 s' in health.problem(11.0)


def test_two_publishers_are_said_unless_normal() -> None:
    health = InputHealth('/camera', num_publishers=2, num_received=1)
    assert '2 publishers' in health.problem(0.0)
    health.many_publishers = True
    assert health.problem(0.0) == ''


def test_a_rejected_message_is_said_and_forgotten_later() -> None:
    health = InputHealth('/camera', num_publishers=1)
    health.received(1.0)
    health.rejected('image of 0 bytes', 1.0)
    assert health.problem(2.0) == '/camera: image of 0 bytes'
    assert health.problem(9.0) == ''
