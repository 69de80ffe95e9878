"""Key points are the best blocks, and attend to what lies around them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from model.small_model import CONFIG

from moe_bev_ros.model.config import profile
from moe_bev_ros.model.sparse_attention import KeyPoints, SparseAttention, neighbour_tables, take_rows

ROWS, COLUMNS = CONFIG.block_shape


def test_key_points_come_sorted_by_importance_and_are_the_best():
    logits = torch.randn(3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(1))
    chosen = KeyPoints(CONFIG).eval()(logits)
    scores = logits.flatten(1).gather(1, chosen)
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    torch.testing.assert_close(scores, logits.flatten(1).sort(dim=1, descending=True).values[:, : CONFIG.num_key_points])


@pytest.mark.parametrize('selection', ['learned', 'gradient', 'random', 'grid'])
@pytest.mark.parametrize('training', [False, True])
def test_every_selection_gives_distinct_blocks(selection, training):
    chosen = KeyPoints(replace(CONFIG, selection=selection)).train(training)(torch.zeros(2, ROWS, COLUMNS))
    assert chosen.shape == (2, CONFIG.num_key_points)
    assert all(len(set(row.tolist())) == CONFIG.num_key_points for row in chosen)
    assert (chosen >= 0).all()
    assert (chosen < CONFIG.num_blocks).all()


def test_the_dense_selection_takes_every_block():
    key_points = KeyPoints(replace(CONFIG, selection='dense', num_key_points=CONFIG.num_blocks))
    assert sorted(key_points(torch.randn(1, ROWS, COLUMNS))[0].tolist()) == list(range(CONFIG.num_blocks))


def test_random_key_points_differ_from_call_to_call_and_ignore_the_scores():
    torch.manual_seed(0)
    key_points = KeyPoints(replace(CONFIG, selection='random')).eval()
    logits = torch.arange(CONFIG.num_blocks, dtype=torch.float32).view(1, ROWS, COLUMNS)
    assert set(key_points(logits)[0].tolist()) != set(key_points(logits)[0].tolist())


@pytest.mark.parametrize('config', [CONFIG, profile('tiny')])
def test_the_grid_is_spread_over_the_image(config):
    rows, columns = config.block_shape
    chosen = KeyPoints(replace(config, selection='grid')).eval()(torch.randn(1, rows, columns))[0].numpy()
    per_quarter = np.bincount((chosen // columns // (rows // 2)) * 2 + chosen % columns // (columns // 2), minlength=4)
    assert per_quarter.min() >= 0.15 * config.num_key_points
    row, column = np.divmod(chosen, columns)
    gap = np.hypot(row[:, None] - row, column[:, None] - column)
    np.fill_diagonal(gap, np.inf)
    assert np.median(gap.min(axis=1)) >= 0.6 * np.sqrt(config.num_blocks / config.num_key_points)


def test_noise_in_training_changes_what_is_near_the_threshold_alone():
    torch.manual_seed(0)
    key_points = KeyPoints(CONFIG).train()
    logits = torch.zeros(1, CONFIG.num_blocks)
    logits[0, :8] = 10.0
    chosen = [set(key_points(logits.view(1, ROWS, COLUMNS))[0].tolist()) for _ in range(2)]
    assert chosen[0] != chosen[1]
    assert all(set(range(8)) <= blocks for blocks in chosen)


def test_the_scorer_reads_features_without_shaping_them():
    features = torch.randn(1, CONFIG.channels, ROWS, COLUMNS, requires_grad=True)
    KeyPoints(CONFIG).logits(features).sum().backward()
    assert features.grad is None


def test_a_neighbourhood_is_five_by_five_and_three_by_three_below_it():
    near, far = neighbour_tables(8, 12)
    assert near.shape == (96, 25)
    assert far.shape == (96, 9)
    block = 4 * 12 + 7
    assert set(near[block]) == {row * 12 + column for row in range(2, 7) for column in range(5, 10)}
    assert set(far[block]) == {row * 6 + column for row in range(1, 4) for column in range(2, 5)}
    assert near[block, 12] == block


def test_neighbours_beyond_the_border_are_the_border():
    near, far = neighbour_tables(8, 12)
    assert set(near[0]) == {row * 12 + column for row in range(3) for column in range(3)}
    assert near[95].max() == 95
    assert far.max() == 4 * 6 - 1
    assert set(far[95]) == {2 * 6 + 4, 2 * 6 + 5, 3 * 6 + 4, 3 * 6 + 5}


def test_take_rows_stays_in_its_own_image():
    rows = torch.arange(24.0).view(2, 4, 3)
    taken = take_rows(rows, torch.tensor([[3, 0], [1, 1]]))
    assert taken.tolist() == [[[9, 10, 11], [0, 1, 2]], [[15, 16, 17], [15, 16, 17]]]


def test_attention_equals_a_dense_one_that_is_masked_to_the_neighbourhood():
    torch.manual_seed(3)
    attention = SparseAttention(CONFIG).eval()
    torch.nn.init.normal_(attention.bias)
    fine, coarse = torch.randn(2, CONFIG.channels, ROWS, COLUMNS), torch.randn(2, CONFIG.channels, ROWS // 2, COLUMNS // 2)
    chosen = torch.stack([torch.randperm(CONFIG.num_blocks)[: CONFIG.num_key_points] for _ in range(2)])
    with torch.inference_mode():
        got = attention(fine, coarse, chosen)
        for image in range(2):
            expected = _dense(attention, fine[image], coarse[image])[chosen[image]]
            torch.testing.assert_close(got[image], expected, rtol=1e-4, atol=1e-5)


def _dense(attention: SparseAttention, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Every block against every place of both scales; a place counts as often as the border repeats it, with each bias."""
    channels, heads = CONFIG.channels, CONFIG.attention_heads
    maps = [attention.key_value(x[None])[0].flatten(1).T for x in (fine, coarse)]
    keys, values = torch.cat(maps).view(-1, 2, heads, channels // heads).unbind(1)
    own = fine.flatten(1).T
    query = attention.query(own).view(-1, heads, channels // heads)
    scores = torch.einsum('phc,qhc->pqh', query, keys) * (channels // heads) ** -0.5
    table = torch.cat([attention.near_pj, attention.far_pj + CONFIG.num_blocks], dim=1)
    mask = torch.zeros_like(scores)  # the sum of exp(bias) over the neighbours that are this place
    for j in range(table.shape[1]):
        mask[torch.arange(len(table)), table[:, j]] += attention.bias[j].exp()
    weights = scores.exp() * mask
    gathered = torch.einsum('pqh,qhc->phc', weights / weights.sum(1, keepdim=True), values).flatten(1)
    mixed = own + attention.out(gathered)
    return mixed + attention.mlp(mixed)


def test_what_lies_outside_of_the_neighbourhood_does_not_matter():
    torch.manual_seed(0)
    attention = SparseAttention(CONFIG).eval()
    fine, coarse = torch.randn(1, CONFIG.channels, ROWS, COLUMNS), torch.randn(1, CONFIG.channels, ROWS // 2, COLUMNS // 2)
    chosen = torch.tensor([[4 * COLUMNS + 6]])
    far_away, near = fine.clone(), fine.clone()
    far_away[0, :, 4, 9] += 1.0
    near[0, :, 4, 8] += 1.0
    with torch.inference_mode():
        before = attention(fine, coarse, chosen)
        torch.testing.assert_close(attention(far_away, coarse, chosen), before)
        assert (attention(near, coarse, chosen) - before).abs().max() > 1e-4


def test_the_most_important_fifth_is_a_branch_that_changes_nothing():
    torch.manual_seed(0)
    attention = SparseAttention(CONFIG).eval()
    fine, coarse = torch.randn(1, CONFIG.channels, ROWS, COLUMNS), torch.randn(1, CONFIG.channels, ROWS // 2, COLUMNS // 2)
    chosen = torch.randperm(CONFIG.num_blocks)[None, : CONFIG.num_key_points]
    assert attention.first == 3
    with torch.inference_mode():
        branched = attention(fine, coarse, chosen)
        attention.first = CONFIG.num_key_points
        torch.testing.assert_close(attention(fine, coarse, chosen), branched)
