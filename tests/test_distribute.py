"""Two real processes, joined by gloo, each with one thread."""

import os
from dataclasses import replace
from socket import socket

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from convatlas.data import source
from convatlas.data.batches import Batches
from convatlas.data.mix import Mixup
from convatlas.data.pictures import Pictures
from convatlas.distribute import Agreement, SyncNorm, Team, here, joined, sync_norms
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.recipes import RECIPES, Steps
from convatlas.train import fit, pictures

RESNET = replace(
    RECIPES["resnet20-cifar10"], steps=6, batch=32, rate=Steps(0.01, ()), precision="float32", layout="plain", mix=Mixup(0.2), clip=1.0
)


def data(rank: int = 0, ranks: int = 1) -> Batches:
    x = torch.randint(0, 256, (96, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return Batches(Pictures(x, torch.arange(96) % 10, tuple("0123456789")), 32, 0, RESNET.preprocess, RESNET.augment, None, 1, rank, ranks)


def learned(recipe=RESNET) -> dict[str, torch.Tensor]:
    """The state after the recipe's steps, by all processes that there are."""
    team = here()
    torch.manual_seed(0)
    net = build("resnet20")
    sync_norms(net)
    for _ in fit(net, recipe, data(team.rank, team.ranks), through=team.wrapped(net)):
        pass
    return net.state_dict()


class Double(Batches):
    """In float64, where rounding has no time to grow."""

    def __getitem__(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = super().__getitem__(n)
        return x.double(), y


def digits(kind: type[Batches]) -> torch.Tensor:
    """All weights of LeNet-5 after 60 steps. It is smooth: rounding tips no maximum and no rectifier, as it may in float32."""
    team, recipe = here(), replace(RECIPES["lenet5_modern-mnist"], batch=64, steps=60)
    torch.manual_seed(0)
    net = build(recipe.model, act="tanh", pool="average")
    net = net.double() if kind is Double else net
    batches = kind(source("mnist").load("test"), 64, 0, recipe.preprocess, recipe.augment, rank=team.rank, ranks=team.ranks)
    for _ in fit(net, recipe, batches, through=team.wrapped(net)):
        pass
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def read_digits(team: Team):
    return digits(Batches).numpy(), digits(Double).numpy()


def test_sixty_steps_of_two_processes_are_those_of_one(both):
    """To 1e-6 in float32 and to 1e-14 in float64: what is left is rounding, which a few hundred steps more make as large as weights are."""
    for found, kind, bound in zip(both(read_digits)[0], (Batches, Double), (1e-6, 1e-14), strict=True):
        difference = (torch.from_numpy(found) - digits(kind)).abs().max()
        assert 0 < difference < bound


def as_rank(rank: int, port: int, told) -> None:
    """What a process does that torchrun would have begun."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined() as team:
        told[rank] = {work.__name__: work(team) for work in (learn_it_all, read_digits, converse, normed)}


@pytest.fixture(scope="module")
def both():
    """What each of two processes of one team says of all that they are asked here."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.Manager() as manager:
        told = manager.dict()
        mp.spawn(as_rank, (port, told), nprocs=2)
        found = [told[0], told[1]]
    return lambda work: [one[work.__name__] for one in found]


def learn_it_all(team: Team):
    whole, parts = learned(), learned(replace(RESNET, accumulate=2))
    return {name: w.numpy() for name, w in whole.items()}, {name: w.numpy() for name, w in parts.items()}


def test_two_processes_learn_what_one_does_to_rounding(both):
    """A ResNet with norms over the whole batch, blended pictures, bounded gradients, after six steps: no weight is 5e-5 from the one of
    one process. In twenty layers with norms what began as rounding has grown; LeNet-5's weights are 3e-7 apart after 60 steps.
    """
    alone = learned()
    (first, parts), (second, _) = both(learn_it_all)
    for name, w in alone.items():
        assert (first[name] == second[name]).all(), name
        torch.testing.assert_close(torch.from_numpy(first[name]), w, rtol=0, atol=5e-5)
    assert any((first[name] != parts[name]).any() for name in first)  # norms see halves of a share


def converse(team: Team):
    net = nn.BatchNorm2d(2)
    net.running_mean.fill_(team.rank)
    team.level(net)
    agree, slow = Agreement(team), Agreement(team)
    stopped = [agree(n, stop=team.rank == 1 and n == 3, save=team.leads and n == 2, speed=1.0) for n in (1, 2, 3)]
    rare = [slow(n, stop=True, save=False, speed=40.0) for n in range(1, 13)]
    return {
        "most": team.most(team.rank, -team.rank),
        "mean": float(team.mean(torch.tensor(float(team.rank)))),
        "gather": torch.cat(team.gather(torch.arange(7)[team.share(7)], 7)).tolist(),
        "level": net.running_mean.tolist(),
        "stopped": stopped,
        "asked": [n for n, (stop, _) in enumerate(rare, 1) if stop],
        "device": str(team.device),
    }


def test_they_tell_each_other_what_they_have_to_know(both):
    first, second = both(converse)
    assert first == second
    assert first["most"] == [1, 0]
    assert first["mean"] == 0.5
    assert first["gather"] == list(range(7))
    assert first["level"] == [0, 0]
    assert first["stopped"] == [(False, False), (False, True), (True, False)]
    assert first["asked"] == [1, 11]  # at 40 steps a second, each tenth


def normed(team: Team):
    torch.manual_seed(0)
    x = (torch.randn(8, 3, 5, 5) * 2 + 100).requires_grad_()  # far from 0: a difference of squares in float32 would be worthless
    norm, loss = SyncNorm(3), nn.Linear(75, 1)
    mine = team.share(8)
    loss(norm(x[mine]).flatten(1)).square().sum().backward()
    return x.grad[mine].numpy(), norm.running_mean.numpy(), norm.running_var.numpy()


def test_a_synchronised_norm_is_the_norm_of_all_pictures(both):
    torch.manual_seed(0)
    x = (torch.randn(8, 3, 5, 5) * 2 + 100).requires_grad_()
    norm, loss = nn.BatchNorm2d(3), nn.Linear(75, 1)
    loss(norm(x).flatten(1)).square().sum().backward()
    found = both(normed)
    torch.testing.assert_close(torch.cat([torch.from_numpy(grad) for grad, _, _ in found]), x.grad, rtol=1e-3, atol=1e-5)
    for _, mean, var in found:
        torch.testing.assert_close(torch.from_numpy(mean), norm.running_mean)
        torch.testing.assert_close(torch.from_numpy(var), norm.running_var)


def test_a_norm_that_is_synchronised_keeps_its_names_and_alone_its_values():
    torch.manual_seed(0)
    net, x = build("resnet20"), torch.randn(4, 3, 32, 32)
    names, before = list(net.state_dict()), net(x)
    net.load_state_dict(build("resnet20").state_dict())
    torch.manual_seed(0)
    twin = build("resnet20")
    sync_norms(twin)
    assert list(twin.state_dict()) == names
    assert torch.equal(twin(x), before)


def test_shares_are_the_whole_batch_and_blended_before_they_are_shared():
    whole = pictures(RESNET, data(), 1)
    shares = [pictures(RESNET, data(rank, 4), 1) for rank in range(4)]
    assert all(torch.equal(torch.cat(parts), of) for parts, of in zip(zip(*shares, strict=True), whole, strict=True))


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    Team(0, 4).fair(128)
    with pytest.raises(Mistake, match=r"recipe\.batch is 128, which 3 workers cannot share evenly"):
        Team(0, 3).fair(128)
    assert [Team(rank, 3).share(7) for rank in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 7)]
