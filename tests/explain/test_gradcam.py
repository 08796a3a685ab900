"""Grad-CAM and its kin against captum and against their equations."""

import warnings

import pytest
import torch
from torch import nn

from convatlas.explain.gradcam import grad_cam, grad_cam_pp, layer_cam, maps_and_gradients, score_cam
from convatlas.models import build


@pytest.mark.parametrize("name", ["vgg11", "alexnet_owt", "resnet18"])
def test_equal_to_captum(name):
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    net, x, theirs, ours = build(name).eval(), torch.randn(2, 3, 224, 224), [], []
    for target in range(4):  # of fresh weights some classes have nothing that speaks for them
        with warnings.catch_warnings(action="ignore"):
            theirs.append(attr.LayerGradCam(net, net.features).attribute(x, target, relu_attributions=True)[:, 0].detach())
        ours.append(grad_cam(net, x, target))
    found, wanted = torch.stack(ours), torch.stack(theirs)
    assert float(wanted.max()) > 0
    assert float((found - wanted).abs().max()) < 1e-4 * float(wanted.max())


@pytest.fixture
def small():
    torch.manual_seed(3)
    net = nn.Sequential()
    net.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
    net.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    return net.eval(), torch.rand(2, 3, 12, 12)


def test_the_equations(small):
    net, x = small
    a, g = maps_and_gradients(net, x, 1, "features")
    assert torch.allclose(g, (net.head[2].weight[1] / 100).view(1, 6, 1, 1).expand_as(g))  # the mean of 10 x 10 places
    for i in range(2):
        shares = torch.stack([g[i, k].mean() * a[i, k] for k in range(6)]).sum(0).relu()
        assert torch.allclose(grad_cam(net, x, 1)[i], shares, atol=1e-7)
        assert torch.allclose(layer_cam(net, x, 1)[i], (g[i].relu() * a[i]).sum(0).relu(), atol=1e-7)
        weights = [((g[i, k] ** 2 / (2 * g[i, k] ** 2 + a[i, k].sum() * g[i, k] ** 3)) * g[i, k].relu()).sum() for k in range(6)]
        assert torch.allclose(grad_cam_pp(net, x, 1)[i], sum(w * a[i, k] for k, w in enumerate(weights)).relu(), rtol=1e-4, atol=1e-6)


def test_score_cam_asks_about_each_map(small):
    net, x = small
    with torch.no_grad():
        a = net.features(x)
        wanted = []
        for i in range(2):
            large = nn.functional.interpolate(a[i][:, None], (12, 12), mode="bilinear", align_corners=False)
            masks = torch.stack([(m - m.min()) / (m.max() - m.min()).clamp(min=1e-12) for m in large])
            weights = net(x[i] * masks)[:, 2].softmax(0)
            wanted.append((weights[:, None, None] * a[i]).sum(0).relu())
    assert torch.allclose(score_cam(net, x, 2), torch.stack(wanted), atol=1e-6)
