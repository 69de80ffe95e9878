"""One node's state as a diagnostic_msgs/DiagnosticStatus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from moe_bev_ros.runtime.health import InputHealth


def diagnostic_status(
    name: str, state: str, facts: Sequence[str], inputs: Sequence[InputHealth], values: Mapping[str, object]
) -> DiagnosticStatus:
    """Build the status: OK only for an active node without complaints.

    Args:
        name: of the node.
        state: label of its lifecycle state.
        facts: what is wrong now.
        inputs: how many messages each brought is told.
        values: whatever else is to be told.
    """
    is_ok = state == 'active' and not facts
    message = '; '.join(facts) or ('ok' if is_ok else state)
    level = DiagnosticStatus.OK if is_ok else DiagnosticStatus.WARN
    told = {**values, **{f'{health.topic} messages': health.num_received for health in inputs}}
    pairs = [KeyValue(key=key, value=str(value)) for key, value in told.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id='', values=pairs)
