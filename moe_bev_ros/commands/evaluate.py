"""``moe-bev evaluate``: judge engines, planners and the world itself."""

from __future__ import annotations

import argparse

from moe_bev_ros.commands import (
    evaluate_ablation,
    evaluate_drive,
    evaluate_experts,
    evaluate_explanation,
    evaluate_frames,
    evaluate_perception,
    evaluate_realism,
    evaluate_results,
)

EVALUATIONS = {
    'ablation': (evaluate_ablation, 'what each mechanism of the network is worth, by training and judging it without'),
    'drive': (evaluate_drive, "closed loop over a suite of worlds, scored with nuPlan's metrics"),
    'experts': (evaluate_experts, 'what each choice of frame experts can do where, the dispatcher, and the loss of a sensor'),
    'explanation': (evaluate_explanation, 'a picture of what in the images of a frame made the network see its objects'),
    'frames': (evaluate_frames, 'recall of an engine on folders of recorded frames, and its times'),
    'perception': (evaluate_perception, "an engine and the tracker on a nuScenes tree, by nuScenes' own evaluators"),
    'realism': (evaluate_realism, "LiDAR points on the world's bodies next to those on recorded road users"),
    'results': (evaluate_results, 'make the tables of RESULTS.md from results/*.json, or check them'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand an evaluation; each of these modules imports what it needs only when it runs."""
    evaluations = parser.add_subparsers(dest='evaluation', required=True, metavar='EVALUATION')
    for name, (module, text) in EVALUATIONS.items():
        evaluation = evaluations.add_parser(name, help=text, description=text)
        module.add_arguments(evaluation)
        evaluation.set_defaults(run_evaluation=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen one."""
    return int(args.run_evaluation(args))
