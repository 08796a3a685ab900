import pytest
import torch

from convatlas.explain.maximise import blurred, maximise
from convatlas.models import build


def test_a_class_scores_more_for_its_picture_than_for_any_other_noise():
    net = build("lenet5_modern").eval()
    found = maximise(net, 4, (1, net.size, net.size), steps=60)
    with torch.no_grad():
        noise = net(found.std() * torch.randn(64, 1, net.size, net.size))
        assert net(found)[0].argmax() == 4
        assert net(found)[0, 4] > noise[:, 4].max()
    assert torch.equal(found, maximise(net, 4, (1, net.size, net.size), steps=60))


@pytest.mark.parametrize("sigma", [0.3, 1.5, 9.0])
def test_a_blur_keeps_a_plain_picture(sigma):
    assert torch.allclose(blurred(torch.ones(1, 3, 9, 9), sigma), torch.ones(1, 3, 9, 9))
