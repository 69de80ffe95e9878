from moe_bev_ros.runtime.repetition import TEXTS_KEPT, Repetition


def test_a_text_is_due_again_after_a_while_even_if_its_numbers_differ():
    said = Repetition()
    assert said.is_due('stamp 1.5 s is old', 0.0)
    assert not said.is_due('stamp 2.5 s is old', 1.0)
    assert said.is_due('stamp 3.5 s is old', 2.0)
    assert said.texts == ['stamp 3.5 s is old']


def test_numbers_in_names_tell_texts_apart():
    said = Repetition()
    assert said.is_due('/camera1: silent', 0.0)
    assert said.is_due('/camera2: silent', 0.0)


def test_not_more_than_so_many_texts_are_kept():
    said = Repetition()
    for index in range(TEXTS_KEPT + 5):
        said.is_due(f'/topic_{"x" * index}: silent', 0.0)
    assert len(said.texts) == TEXTS_KEPT
