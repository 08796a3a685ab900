import torch
from networks import counted

from convatlas.models import build
from convatlas.models.airbench import Trimmed, conv


def test_it_has_the_published_size():
    parameters, macs = counted("airbench94")
    assert round(parameters / 1e6, 2) == 1.97
    by_hand = 31**2 * (12 * 24 + 24 * 64 * 9) + 15**2 * (64 * 64 + 64 * 256) * 9 + 7**2 * 2 * 256 * 256 * 9 + 3**2 * 256 * 256 * 9
    assert macs == by_hand + 256 * 10


def test_the_whitening_layer_is_kept_but_does_not_learn():
    net = build("airbench94")
    assert "features.whiten.weight" in net.state_dict()
    assert "features.whiten.weight" not in dict(net.named_parameters())


def test_fresh_filters_pass_maps_on():
    conv = build("airbench94").features.block1.conv1
    x = torch.randn(1, 24, 5, 5)
    assert torch.equal(conv(x)[:, :24], x)


def test_what_is_trimmed_is_what_no_pool_sees():
    trimmed = conv(6, 8, Trimmed)
    whole = conv(6, 8)
    whole.load_state_dict(trimmed.state_dict())
    for size in (15, 16, 7):
        x = torch.randn(2, 6, size, size)
        even = size // 2 * 2
        torch.testing.assert_close(trimmed(x), whole(x)[:, :, :even, :even])


def test_norms_shift_and_do_not_scale():
    norm = build("airbench94").features.block1.norm1
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
    y = norm.train()(3 * torch.randn(64, 64, 8, 8) + 1)
    torch.testing.assert_close(y.std((0, 2, 3)), torch.ones(64), rtol=1e-2, atol=1e-2)
