"""What every network offers as a backbone, asked of all of them: quick on the meta device for most, with numbers for one of each kind."""

import pytest
import torch
from test_contract import DEEP, LARGE, SMALL
from torch import Tensor, nn

from convatlas.models import MODELS, build, googlenet
from convatlas.models.lenet import RBF, LeNet5, codes
from convatlas.models.net import Net

EXACT = {"rtol": 1e-9, "atol": 1e-12}
NORMS = nn.modules.batchnorm._BatchNorm


def networks(quick: set[str]) -> list:
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in MODELS]


def test_every_network_is_asked():
    assert [param.values[0] for param in networks(SMALL)] == list(MODELS)
    assert len(MODELS) == 110


def shell(name: str) -> Net:
    with torch.device("meta"):
        return build(name).eval()


def channels(net: Net) -> int:
    return next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))


def shown(net: Net, device: str = "meta") -> Tensor:
    return torch.empty(2, channels(net), net.size, net.size, device=device)


def side(net: Net) -> int:
    return min(67, net.size)


@pytest.fixture(scope="module", params=networks(SMALL))
def net(request) -> Net:
    torch.manual_seed(0)
    return build(request.param, num_classes=7).double()


def pictures(net: Net) -> Tensor:
    return torch.randn(3, channels(net), side(net), side(net), dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("name", networks(SMALL | {name for name, (family, _) in MODELS.items() if family in LARGE}))
def test_every_network_answers_without_memory(name):
    net = shell(name)
    stages = net.stages()
    x = shown(net)
    assert [stage.name for stage in stages] == [child for child, _ in net.features.named_children()]
    assert [maps.shape[1] for maps in net.pyramid(x, [stage.name for stage in stages]).values()] == [stage.channels for stage in stages]
    assert list(net.pyramid(x)) == list({stage.stride: stage.name for stage in stages}.values())
    width = net.embed(x).shape[1]
    assert net.embed(x).shape == (2, width)
    assert net.replace_head(3).replace_stem(5).freeze(stages[0].name)(shown(net)).shape == (2, 3)
    assert net.embed(shown(net)).shape == (2, width)
    assert net.param_groups(0.1, 1e-4, 0.5)[0]["lr"] == 0.1


@torch.no_grad()
def test_the_pyramid_and_the_embedding_are_what_the_network_computes(net):
    x = pictures(net)
    y = net.eval()(x)
    names = [name for name, _ in net.features.named_children()]
    maps = net.pyramid(x, reversed(names))
    assert list(maps) == names
    for i, name in enumerate(names, 1):
        assert torch.equal(maps[name], net.features[:i](x))
    e, head = net.embed(x), list(net.head.children())
    last = max(i for i, child in enumerate(head) if any(True for _ in (*child.parameters(), *child.buffers())))
    if all(isinstance(child, nn.Flatten) or i <= last for i, child in enumerate(head)):
        assert torch.equal(head[last](e), y)
    else:  # a classifier in front of the pool: a mean of linear scores is the score of the mean, but for the rectifier between
        layer = next(m for m in net.head.modules() if isinstance(m, nn.Conv2d))
        scores = layer(net.features(x)).mean((2, 3))
        torch.testing.assert_close(e @ layer.weight[:, :, 0, 0].T + layer.bias, scores, **EXACT)


def test_a_stage_that_is_not_there_is_named_with_those_that_are():
    net = shell("resnet18")
    for ask in (lambda: net.pyramid(shown(net), ["conv9"]), lambda: net.freeze("conv9")):
        with pytest.raises(ValueError, match="no stage 'conv9' in ResNet; there are: conv1, pool1, conv2_x"):
            ask()


def test_the_pyramid_runs_no_further_than_it_must():
    net = shell("resnet18")
    net.features.conv4_x = None
    assert list(net.pyramid(shown(net), ["conv1", "conv3_x"])) == ["conv1", "conv3_x"]


def test_stages_of_a_network_that_everyone_knows():
    assert [(stage.name, stage.stride, stage.channels, stage.field) for stage in shell("vgg16").stages()] == [
        ("stage1", 2, 64, 6), ("stage2", 4, 128, 16), ("stage3", 8, 256, 44), ("stage4", 16, 512, 100), ("stage5", 32, 512, 212),
    ]  # fmt: skip
    assert {stage.name: stage.field for stage in shell("googlenet").stages()}["inception5b"] == 715


def test_a_new_head_changes_nothing_else_and_can_learn(net):
    x = pictures(net)
    before, e = {key: t.clone() for key, t in net.state_dict().items()}, net.eval().embed(x)
    net.replace_head(4, dropout=0.3)
    changed = [key for key, t in net.state_dict().items() if t.shape != before[key].shape]
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(t, before[key]) for key, t in net.state_dict().items() if key not in changed)
    assert len({key.rpartition(".")[0] for key in changed}) == (3 if isinstance(net, googlenet.GoogLeNet) else 1)
    assert torch.equal(net.embed(x), e)
    assert net(x).shape == (3, 4)
    drops = [layer.p for layer in net.head.modules() if isinstance(layer, nn.Dropout)]
    assert set(drops) == {0.3}
    googlenet.Auxiliary()(net.train()(x), torch.tensor([0, 1, 3])).backward()
    if not isinstance(net, LeNet5):
        last = [p for p in net.head.parameters() if p.dim() > 1][-1]
        assert last.grad is not None
        assert last.grad.any()
    net.zero_grad()
    net.replace_head(7, dropout=0.0)


def test_a_new_head_of_lenet5_has_codes():
    net = build("lenet5").replace_head(26)
    assert torch.equal(net.head.output.weight, codes(26))
    assert isinstance(net.replace_head(10).head.output, RBF)
    assert torch.equal(net.head.output.weight, codes(10))


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet20", "squeezenet1_1", "lenet5", "mobilenet_v3_small", "efficientnet_lite0"])
@pytest.mark.parametrize("more", [1, 2, 3, 4, 7])
def test_a_grey_picture_looks_the_same_to_a_new_stem(name, more):
    net = build(name).double().eval()
    grey = torch.randn(2, 1, 64, 64, dtype=torch.float64) if name != "lenet5" else torch.randn(2, 1, 32, 32, dtype=torch.float64)
    before = net.features(grey.expand(-1, channels(net), -1, -1))
    torch.testing.assert_close(net.replace_stem(more).features(grey.expand(-1, more, -1, -1)), before, **EXACT)
    assert channels(net) == more


@torch.no_grad()
def test_a_coloured_picture_taken_twice_looks_the_same_to_a_stem_of_six():
    net = build("resnet20").double().eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    before = net(x)
    torch.testing.assert_close(net.replace_stem(6)(torch.cat([x, x], 1)), before, **EXACT)


def test_what_is_frozen_stays_as_it_is(net):
    names = [name for name, _ in net.features.named_children()]
    until = names[len(names) // 2]
    net.eval().freeze(until)
    assert not net.training
    net.train()
    torch.nn.Sequential(net).train()
    before = {key: t.clone() for key, t in net.state_dict().items()}
    opt = torch.optim.SGD(net.param_groups(0.1, 0.1), lr=0.1, momentum=0.9)
    for _ in range(2):
        y = net(pictures(net))
        opt.zero_grad()
        googlenet.Auxiliary()(y, torch.tensor([0, 1, 2])).backward()
        opt.step()
        net.after_step()
    frozen = tuple(f"features.{name}." for name in names[: names.index(until) + 1])
    for key, t in net.state_dict().items():
        if key.startswith(frozen):
            assert torch.equal(t, before[key]), key
        elif "running" in key:
            assert not torch.equal(t, before[key]), key
    assert not any(p.requires_grad for key, p in net.named_parameters() if key.startswith(frozen))
    assert any(not torch.equal(t, before[key]) for key, t in net.state_dict().items())
    net.load_state_dict(before)
    net.freeze("head")
    assert not any(p.requires_grad for p in net.features.parameters())
    assert not any(layer.training for layer in net.features.modules() if layer is not net.features)
    assert net.freeze(None).training
    assert all(p.requires_grad for p in net.parameters())
    assert all(layer.training for layer in net.modules())
    net.zero_grad()


def test_frozen_filters_of_zfnet_are_not_scaled_back():
    net = build("zfnet", num_classes=2, size=75).freeze("conv1")
    with torch.no_grad():
        for layer in (net.features.conv1.conv, net.features.conv2.conv):
            layer.weight.fill_(1.0)
    net.after_step()
    assert (net.features.conv1.conv.weight == 1).all()
    assert (net.features.conv2.conv.weight < 0.2).all()


@pytest.mark.parametrize("name", networks(MODELS.keys() - DEEP))
def test_every_weight_is_in_one_group_and_rates_fall_with_depth(name):
    with torch.device("meta"):
        net = build(name)
    groups = net.param_groups(0.1, 1e-4, 0.5)
    torch.optim.SGD(groups, lr=1.0)
    assert sorted(id(p) for group in groups for p in group["params"]) == sorted(id(p) for p in net.parameters())
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    children = [rates for child in net.features.children() if (rates := {rate[id(p)] for p in child.parameters()})]
    assert [min(rates) for rates in children] == [max(rates) for rates in children] == [0.1 * 0.5**i for i in range(len(children), 0, -1)]
    assert {rate[id(p)] for p in net.head.parameters()} <= {0.1}
    assert all(group["lr"] == 0.1 * group["scale"] for group in groups)
    decaying = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    for layer in net.modules():
        for key, p in layer.named_parameters(recurse=False):
            assert (id(p) in decaying) == (key == "weight" and not isinstance(layer, NORMS)), (name, layer, key)


def test_what_is_frozen_is_in_no_group():
    net = shell("resnet18").freeze("conv4_x")
    assert [group["scale"] for group in net.param_groups(0.1, 1e-4, 0.5)] == [1, 1, 0.5, 0.5]
    assert [group["scale"] for group in net.freeze("head").param_groups(0.1, 0.0)] == [1, 1]
