import io

import numpy as np
import pytest
import torch
from torch import nn

from moe_bev_ros.model.light_net import NUM_STATES, LightNet


def test_each_crop_is_judged_by_itself_within_two_million_multiplications():
    torch.manual_seed(0)
    net = LightNet().eval()
    counted = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda layer, _, output: counted.append(macs(layer, output)))
    crops = torch.randn(8, 3, 24, 24)
    with torch.inference_mode():
        states = net(crops)
        assert sum(counted) / 8 < 2e6
        torch.testing.assert_close(net(crops[3:4]), states[3:4], atol=1e-5, rtol=1e-5)
    assert states.shape == (8, NUM_STATES)


def test_onnx_agrees_with_torch():
    pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    torch.manual_seed(0)
    net, crops = LightNet().eval(), torch.randn(8, 3, 24, 24)
    file = io.BytesIO()
    torch.onnx.export(net, (crops,), file, input_names=['crops'], output_names=['states'], dynamo=False)
    session = runtime.InferenceSession(file.getvalue(), providers=['CPUExecutionProvider'])
    (states,) = session.run(None, {'crops': crops.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(states, net(crops).numpy(), atol=1e-4)


def macs(layer, output):
    return output.numel() * layer.weight[0].numel()
