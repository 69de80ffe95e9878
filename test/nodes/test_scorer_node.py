from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from harness import ros
from moe_bev_ros import msg as m
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.nodes.convert import header, trace_to_msg
from moe_bev_ros.nodes.scorer_node import ScorerNode

S = 1_000_000_000


def test_the_score_is_that_of_the_messages_heard():
    with ros() as h:
        scorer = ScorerNode()
        h.executor.add_node(scorer)
        h.nodes.append(scorer)
        commands = h.talk(m.VehicleCommand, '/moe_bev/vehicle_command')
        objects = h.talk(m.Objects, '/moe_bev/objects')
        truths = h.talk(m.WorldTruth, '/moe_bev/world/truth')
        diagnostics = h.talk(DiagnosticArray, '/diagnostics')
        hearts = h.talk(m.Heartbeat, '/moe_bev/heartbeat')
        engines = h.talk(m.EngineStatus, '/moe_bev/engine_status')
        plans = h.talk(m.Trajectory, '/moe_bev/trajectory')
        trace = trace_to_msg(Trace(1_000).passed('control_node', 1_000, 2_001_000))
        for index in range(3):
            commands.publish(
                m.VehicleCommand(header=header(index * S, 'base_link'), first_of_plan=True, brake=1.0, trace=trace)
            )
            commands.publish(m.VehicleCommand(header=header(index * S, 'base_link'), brake=1.0, trace=trace))
        objects.publish(m.Objects(objects=[m.Object(), m.Object()], perception_valid=True))
        engines.publish(
            m.EngineStatus(
                engine='torch',
                experts=['fused'],
                stages=['heads'],
                stage_ms=[2.0],
                sparsity_names=['image_blocks'],
                sparsity=[0.5],
                memory_bytes=9,
            )
        )
        plans.publish(m.Trajectory(header=header(S, 'map'), reason='no objects', stop=True))
        hearts.publish(m.Heartbeat(node='/bev_node', pid=1, state=3))
        status = DiagnosticStatus(name='/bev_node', values=[KeyValue(key='dropped_by_policy', value='1')])
        diagnostics.publish(DiagnosticArray(status=[status]))
        truths.publish(m.WorldTruth(header=header(5 * S, 'map'), frames=5, distance=7.0, collisions=1))
        h.spin_until(lambda: scorer.truth is not None and scorer.log.num_commands == 6 and scorer.plans)
        h.spin_until(lambda: scorer.log.engine.frames)
        h.spin_until(lambda: scorer.log.dropped_by_policy == 1 and scorer.log.active_nodes())
        result = scorer.log.summary()
        assert (result['frames_in'], result['frames_out'], result['frames_lost']) == (5, 3, 1)
        assert (result['objects'], result['distance_m'], result['collisions']) == (2, 7.0, 1)
        assert result['nodes'] == [{'name': 'bev_node', 'state': 'active', 'restarts': 0}]
        assert result['latency_ms']['sensor_to_command']['p50'] == 2.0
        assert result['perception_valid_at_end']
        engine = result['engine']
        assert (engine['name'], engine['expert_share'], engine['memory_bytes']) == ('torch', {'fused': 1.0}, 9)
        assert (engine['sparsity'], engine['stage_ms']['heads']['p50']) == ({'image_blocks': 0.5}, 2.0)
        assert scorer.plans == [(S, 'no objects', True)]
