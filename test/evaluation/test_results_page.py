import json

import pytest

from moe_bev_ros.cli import main
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.evaluation.bench.tables import SUMS
from moe_bev_ros.evaluation.results_page import BLOCKS, block_text, rewritten, stale_blocks

INTERVAL = {'value': 0.5, 'low': 0.4, 'high': 0.6}
PART = {
    'nds': 0.1234,
    'mean_ap': 0.05,
    'trans_err': 0.7,
    'scale_err': 0.5,
    'orient_err': 1.0,
    'vel_err': 1.0,
    'attr_err': None,
    'intervals': {'nds': [0.11, 0.13], 'mean_ap': [None, None]},
    'classes': {'car': dict.fromkeys(('ap', 'trans_err', 'scale_err', 'orient_err', 'vel_err', 'attr_err'), 0.25)},
}
PERCEPTION = {
    **PART,
    'published': PART,
    'engine': 'clustering',
    'rate_hz': 10.0,
    'scenes': 3,
    'tracking': {'amota': 0.321, 'amotp': 1.5},
    'metrics': {'hidden_recall': {**INTERVAL, 'cases': 40}, 'segmentation': None, 'lights': None},
    'strata': {
        'condition': {'fog': {'scenes': 2, 'nds': INTERVAL, 'hidden_recall': {'value': None, 'low': None, 'high': None}}}
    },
    'through_ros': {
        'nds': 0.1235,
        'offline_nds': 0.1234,
        'nds_difference': 0.0001,
        'scenes': 2,
        'frames': {'in': 400, 'out': 399, 'dropped_by_policy': 1, 'lost': 0},
    },
}
ABLATION_ROW = {
    'part': 'attention',
    'seeds': [0],
    'nds': 0.4,
    'interval': [0.3, 0.5],
    'difference': INTERVAL,
    'map': 0.3,
    'velocity_error': 0.8,
    'min_ade': 1.2,
    'hidden_recall': None,
    'attention_macs': 1e6,
    'bytes': 333e3,
    'ms': 31.25,
    'mean_active_experts': 1.0,
    'goal': 'keeps',
    'met': False,
}
ROUTER = {'load_entropy': 0.99, 'max_violation': 0.05, 'filled_slots': 1.0, 'served_object_patches': None}
CHOSEN = {
    'nds': INTERVAL,
    'mean_ap': INTERVAL,
    'mean_active_experts': 1.25,
    'mean_cost': 0.9,
    'shares': {'fused': 0.75, 'lidar': 0.25},
}
RUNS = {
    'runs': 9,
    'score': 0.8,
    'interval': [0.7, 0.9],
    'collisions_at_fault': 1,
    'collisions': 2,
    'off_road': 0,
    'ttc': 0.9,
    'progress': 1.0,
    'speed_limit': 1.0,
    'comfort': 0.75,
    'latency_ms': 30.0,
}
FILES = {
    'perception_clustering': PERCEPTION,
    'perception_clustering_2hz': {**PERCEPTION, 'rate_hz': 2.0, 'through_ros': None},
    'drive_test': {**RUNS, 'suite': 'test', 'row': 'truth idm', 'per_kind': {'merge': RUNS}, 'per_condition': {'rain': RUNS}},
    'realism': {
        'ratios': [
            {
                'source': 'nuscenes',
                'label': 'car',
                'low_m': 10.0,
                'num_boxes': 9,
                'ratio': 1.1,
                'low': 0.9,
                'high': 1.3,
                'goal': True,
            }
        ]
    },
    'world_test': {
        'scenario_hash': 'c0ffee',
        'scenes_per_kind': {'merge': 11},
        'scenes': 150,
        'boxes_per_frame': 31.5,
        'scored_boxes_per_frame': 24.25,
        'boxes': {'car': 900},
        'scored_boxes': {'car': 800},
    },
    'real_frames': {
        'frames': [{'name': 'city/7', 'lidar': True, 'cameras': 6, 'cars': 4}],
        'engines': {
            'clustering': {
                'frames': [{'found': 3, 'as_car': 2}],
                'with_lidar': {'annotated': 4, 'recall': 0.75, 'recall_as_car': 0.5, 'precision': None},
            }
        },
    },
    'ablation': {
        'profile': 'tiny',
        'scenes': 9,
        'plan': {'first_frames': 800, 'frames': 400, 'train_scenes': 20},
        'rows': [
            {**ABLATION_ROW, 'name': 'reference', 'difference': None, 'goal': '', 'met': None, 'kept': None},
            {**ABLATION_ROW, 'name': 'dense attention', 'attention_macs': 4e6, 'kept': INTERVAL},
        ],
        'routers': {'night': ROUTER},
        **ROUTER,
        'routing_share': 0.0123,
        'mean_active_experts': None,
        'memory_bytes_ratio': 0.0212,
        'memory_gain': {'min_ade': {**INTERVAL, 'best': 'query queue'}},
    },
    'experts': {
        'split': 'world_val',
        'scenes': 3,
        'scores': {'fused': {'night': 0.5, 'fog': 0.25}, 'lidar': {'night': 0.125}},
        'costs': {'fused': 1.0, 'lidar': 0.375},
        'intervals': {'fused': {'night': [0.4, 0.6], 'fog': [None, None]}, 'lidar': {'night': [0.1, 0.2]}},
        'whole': {'fused': {'nds': INTERVAL}, 'lidar': {'nds': INTERVAL}},
        'scenes_of': {'night': 2, 'fog': 1},
    },
    'experts_dispatch': {
        'split': 'world_test',
        'scenes': 4,
        'rows': [
            {**CHOSEN, 'name': 'dispatcher'},
            {**CHOSEN, 'name': 'always fused', 'dispatcher_above': {'value': 0.01, 'low': -0.01, 'high': 0.02}},
        ],
    },
    'sensor_loss_lidar': {
        'sensor': 'lidar',
        'after_s': 3.0,
        'scenes': 4,
        'keyframes': 56,
        **{name: {'nds': INTERVAL} for name in ('lost', 'without', 'intact')},
        'lost_above_without': {'value': 0.02, 'low': 0.01, 'high': 0.03},
        'frames_late': 0,
        'valid_share': 1.0,
    },
    'bench_world': {'frame': {'name': 'a frame', 'ms_min': 4.0, 'ms_median': 5.0}, 'stages': []},
    'bench_network': {
        'profile': 'tiny',
        'threads': 2,
        'frame_experts': ['fused'],
        'machine': {'processor': 'a processor', 'cores': 2, 'torch': '2.5', 'onnxruntime': '1.20', 'openvino': ''},
        'rounds': 12,
        'thrown_away': [0.25],
        'foreign': 0.01,
        'rows': [
            {'name': 'openvino int8', 'error': '', 'ms': {key: {'min': 20.25, 'median': 21.5} for key in ('inputs', *SUMS)}},
            {'name': 'torch bfloat16', 'error': 'not installed', 'ms': {}},
        ],
        'ratio_details': {
            'int8_over_fp32_convolution': {'of': 'a : b', 'median': 3.5, 'minimum': 2.5, 'of_minima': 3.6, 'agrees': False},
            'pre_post_over_network': {'of': 'b : b', 'median': 0.125, 'minimum': 0.12, 'of_minima': 0.13, 'agrees': True},
        },
        'rates_gops': {'openvino matmul_int8': 701.2},
        'share_of_int8_limit': 0.425,
        'fastest_int8': 'openvino int8',
        'int8_gops': 298.0,
        'share_outside_int8': {'openvino int8': 0.375},
    },
    'bench_cost': {
        'profile': 'tiny',
        'engine': 'openvino float32',
        'threads': 2,
        'rounds': 4,
        'sweeps': {
            'cameras': {
                'axis': 'cameras',
                'per': 1,
                'slope_ms': 4.25,
                'offset_ms': 20.0,
                'bend': {'at': 6.0, 'before': 4.0, 'after': 6.5},
                'rows': [{'count': 6, 'step_ms': 45.0, 'least_ms': 44.0, 'network_ms': 40.0, 'pre_post_ms': 5.0}],
            }
        },
    },
    'bench_graph_openvino': {
        'engine': 'openvino',
        'precision': 'int8',
        'machine': {'processor': 'a processor'},
        'dense_over': {'704x256': 6.5},
        'rows': [
            {
                'name': '704x256',
                'frames_in': 3005,
                'frames_out': 3005,
                'dropped_by_policy': 0,
                'frames_lost': 0,
                'foreign': 0.012,
                'experts': {'fused': 0.975},
                'latency_ms': {'sensor_to_command': {'p50': 51.25, 'p99': 90.5, 'max': 120.0}},
            }
        ],
    },
    'quantisation': {
        'scenes': 3,
        'samples': 60,
        'frames': 640,
        'rows': [
            {
                'name': 'FP32',
                'nds': {'value': 0.45, 'low': 0.4, 'high': 0.5},
                'mean_ap': {'value': 0.385, 'low': 0.3, 'high': 0.4},
                'difference': None,
                'conditions': {'fog': {'nds': 0.307}},
                'worst_condition': None,
                'bytes': 5496000,
                'met': None,
            },
            {
                'name': 'INT8 PTQ',
                'nds': {'value': 0.431, 'low': 0.4, 'high': 0.5},
                'mean_ap': {'value': 0.366, 'low': 0.3, 'high': 0.4},
                'difference': {'value': -0.019, 'low': -0.021, 'high': -0.008},
                'conditions': {'fog': {'nds': 0.297}},
                'worst_condition': 0.034,
                'bytes': 1681000,
                'met': False,
            },
        ],
        'gains': {'INT8': {'value': 0.003, 'low': -0.001, 'high': 0.011}},
        'calibration': {'day': 16, 'fog': 12},
        'missing_conditions': ['night'],
        'engine_bytes': 2423382,
        'layers': {'heads.where.1': {'input': 18.1, 'weight': 40.2}},
    },
    'roofline': {
        'utilisation': 0.35,
        'bandwidth': 0.7,
        'expert': 'fused',
        'goal_ms': 85.0,
        'profiles': {
            'orin_nx': {
                'chip': 'Orin NX',
                'limits': [{'name': '15 W'}],
                'stages': [
                    {
                        'name': 'heads',
                        'precision': 'INT8',
                        'macs': 2_000_000_000,
                        'moved_bytes': 3_000_000,
                        'predicted_ms': {'15 W': {'gpu_ms': 90.25, 'dla_ms': 4.5}},
                    }
                ],
                'total_ms': {'15 W': {'gpu_ms': 90.25, 'best_ms': 4.5}},
            }
        },
    },
}
FOUND = {
    'perception': ('| clustering | 10 Hz |', '| clustering | 2 Hz |', '0.123 (0.110..0.130)', '0.321'),
    'perception_classes': ('| car | 0.250',),
    'perception_metrics': ('0.500 (0.400..0.600)', 'not given'),
    'perception_strata': ('condition: fog',),
    'through_ros': ('+0.0001', '400 / 399 / 1 / 0'),
    'drive': ('truth idm', '0.800 (0.700..0.900)'),
    'drive_kinds': ('| merge |', '| rain |'),
    'realism': ('1.10 (0.90..1.30)', 'met'),
    'world_test': ('c0ffee', 'merge 11', '31.500', '24.250', '| car | 900 | 800 |'),
    'real_frames': ('| city/7 | yes | 6 | 4 | 3 / 2 |', '0.75 / 0.50', 'precision |  |  |  | - |'),
    'ablation': (
        'after 800 frames of 20 scenes and learn from 400 more; one seed.',
        '| attention | dense attention | 0.400 (0.300..0.500) | 0.500 (0.400..0.600) |',
        'keeps: missed |',
        '| attention MACs, share of dense | 0.250 |',
        '| less min ade than the best other memory (query queue) | 0.500 (0.400..0.600) |',
        '| night | 0.990 | 0.050 | 1.000 | - |',
    ),
    'experts': (
        'world_val, 3 scenes:',
        '| time of the network |  | 1.00 | 0.38 |',
        '| night | 2 | **0.500 (0.400..0.600)** | 0.125 (0.100..0.200) |',
        '| fog | 1 | **0.250** | - |',
        '| 1.25 | 0.90 | 0.010 (-0.010..0.020) | fused 75 %, lidar 25 % |',
    ),
    'sensor_loss': ('| lidar | 3 s | 4 | 56 | 0.500', '0.020 (0.010..0.030)', '| 0 frames | 100 % |'),
    'bench_world': ('| a frame | 4.00 | 5.00 | 250.0 |',),
    'bench_network': (
        '1 thrown away (others used up to 25% of the processors)',
        '| openvino int8 | 21.5 (20.2) |',
        '| torch bfloat16 | - | - | - | - | not installed |',
        '| int8_over_fp32_convolution | a : b | 3.50 | 2.50 | 3.60 | >= 3.7 | missed; DISAGREE by more than 15 % |',
        '| pre_post_over_network | b : b | 0.12 | 0.12 | 0.13 | <= 0.25 | met |',
        '| share of the INT8 limit | openvino int8 | 0.425 |  |  | >= 0.4 | met |',
        '| openvino matmul_int8 | 701 |',
    ),
    'bench_cost': (
        '| cameras | 4.25 per 1 cameras | 20.0 | at 6: 4.00 before, 6.50 after |',
        '| 6 | 45.0 | 44.0 | 40.0 | 5.0 |',
    ),
    'bench_graph': (
        'Engine openvino, precision int8',
        '| 704x256 | 51.2 | 90.5 | 120.0 | 3005 / 3005 / 0 / 0 | fused 98% | 1% | 6.50 | missed: p99 above 85 ms |',
        '| sensor_to_command | 51.2 / 90.5 |',
    ),
    'quantisation': (
        '3 scenes judged. Calibration frames: 16 day, 12 fog. None of night.',
        '| INT8 PTQ | 0.431 (0.400..0.500) | 0.366 | -0.019 (-0.021..-0.008) | 3.4 % | 1681 | missed |',
        '| INT8 PTQ | 0.297 |',
        '| INT8: QAT + VGD above PTQ, NDS | 0.003 (-0.001..0.011) |',
        '| heads.where.1 | input 18.1, weight 40.2 |',
    ),
    'roofline': (
        'missed on paper',
        '| heads | INT8 | 2.00 | 3.0 | 90.25 (DLA 4.50) |',
        '| all, GPU alone |  | 2.00 | 3.0 | 90.2 |',
    ),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'results').mkdir()
    for name, content in FILES.items():
        (tmp_path / 'results' / f'{name}.json').write_text(json.dumps(content))
    blocks = '\n\n'.join(f'## {name}\nBy hand.\n<!-- results:{name} -->\n<!-- /results -->' for name in BLOCKS)
    (tmp_path / 'RESULTS.md').write_text(f'# Results\n\n{blocks}\n\nThe end.\n')
    return tmp_path


def test_every_block_is_made_from_its_file_and_prose_stays(root):
    assert set(FOUND) == set(BLOCKS)
    assert main(['evaluate', 'results', '--root', str(root)]) == 0
    page = (root / 'RESULTS.md').read_text()
    for name, texts in FOUND.items():
        body = page.split(f'<!-- results:{name} -->')[1].split('<!-- /results -->')[0]
        assert all(text in body for text in texts), body
    assert page.count('By hand.') == len(BLOCKS)
    assert page.endswith('The end.\n')
    assert rewritten(page, root / 'results') == page


def test_check_notices_an_edit_and_changes_nothing(root, capsys):
    main(['evaluate', 'results', '--root', str(root)])
    assert main(['evaluate', 'results', '--check', '--root', str(root)]) == 0
    page = root / 'RESULTS.md'
    edited = page.read_text().replace('0.321', '0.999')
    page.write_text(edited)
    assert main(['evaluate', 'results', '--check', '--root', str(root)]) == 1
    assert 'block perception ' in capsys.readouterr().out
    assert page.read_text() == edited


def test_a_missing_file_is_said_with_its_command(tmp_path):
    for name, block in BLOCKS.items():
        assert block.command in block_text(name, tmp_path)


@pytest.mark.parametrize(
    ('page', 'fact'),
    [
        ('<!-- results:nothing -->\n<!-- /results -->', "no block 'nothing'"),
        ('a\n<!-- results:drive -->\n', 'RESULTS.md:2: .* no partner'),
        ('<!-- results:drive -->\n<!-- results:realism -->\n<!-- /results -->', 'no partner'),
        ('<!-- /results -->', 'no partner'),
    ],
)
def test_a_page_with_broken_marks_is_refused(root, page, fact):
    with pytest.raises(InputError, match=fact):
        stale_blocks(page, root / 'results')


def test_a_damaged_or_foreign_file_is_named(root):
    path = root / 'results' / 'realism.json'
    path.write_text('{"ratios": [')
    with pytest.raises(InputError, match=r'realism\.json.*make it again'):
        block_text('realism', root / 'results')
    path.write_text('{"other": 1}')
    with pytest.raises(InputError, match=r'realism\.json.*moe-bev evaluate realism'):
        block_text('realism', root / 'results')
