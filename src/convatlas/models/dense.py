"""Networks on whole pictures: the classifier as convolutions, of whose map of scores the mean is taken (VGG 2014, section 3.2).

AlexNet, ZFNet, VGG and the course's LeNet have a classifier that reads maps of one size. fc6 becomes a convolution with a
kernel of that size, what comes after it convolutions of 1x1; the weights are the same, not copies of them. All networks that
average their last maps take pictures of any size as they are, and what they say is then the mean of a map of scores already
(MobileNet v3 has a layer of units after its average; it takes any size, but not as a map of scores).
LeNet-5 as published is the one that cannot: it measures distances to drawings of digits, and has no scores to average.
"""

from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from .net import Net

KEPT = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Dropout)  # they look at each unit by itself


class Dense(nn.Module):
    """The classifier at every place of the features that has `side` x `side` units below it; its mean score (N, classes)."""

    def __init__(self, features: nn.Module, classifier: nn.Sequential, side: int):
        super().__init__()
        self.features, self.classifier, self.side = features, classifier, side

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x).mean((2, 3))

    def map(self, x: Tensor) -> Tensor:
        """Scores (N, classes, H, W). Maps that are smaller than the classifier's kernel are stretched to it, as in the plain network."""
        x = self.features(x)
        return self.classifier(adaptive_avg_pool2d(x, (max(self.side, x.shape[2]), max(self.side, x.shape[3]))))


def convolutional(net: Net) -> nn.Module:
    """The network that says of a picture of any size what `net` says of all its parts, in the mean; of one part, the same as `net`.

    That is `net` itself where its last maps are averaged, or their largest units taken. Raises ValueError where the classifier is
    no convolution.
    """
    pools = [layer for layer in net.head.modules() if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d)]
    if any(pool.output_size == 1 for pool in pools):
        return net
    layers = [layer for layer in net.head.modules() if not list(layer.children())]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if other := [layer for layer in layers if not isinstance(layer, (nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear, *KEPT))]:
        raise ValueError(f"{type(net).__name__} ends in a {type(other[-1]).__name__} layer, which is no convolution")
    side = isqrt(linear[0].in_features // net.stages()[-1].channels)
    classifier = nn.Sequential()
    for layer in layers:
        if isinstance(layer, nn.Linear):
            classifier.append(kernel(layer, side if layer is linear[0] else 1))
        elif isinstance(layer, KEPT):
            classifier.append(layer)
    return Dense(net.features, classifier, side).train(net.training)


def kernel(linear: nn.Linear, side: int) -> nn.Conv2d:
    """The same weights as a convolution of side x side."""
    with torch.device("meta"):
        conv = nn.Conv2d(linear.in_features // side**2, linear.out_features, side)
    conv.weight = nn.Parameter(linear.weight.detach().view(conv.weight.shape), requires_grad=linear.weight.requires_grad)
    conv.bias = linear.bias
    return conv
