"""A small network of the AlexNet kind for 32 x 32 pictures, whose parts can be exchanged one at a time."""

from collections.abc import Callable

from torch import nn

from ..models.alexnet import local_response_norm


def small(
    channels: int,
    act: Callable[[], nn.Module] = nn.ReLU,
    norm: bool = False,
    pool: tuple[int, int] = (3, 2),
    dropout: float = 0.0,
    widths: tuple[int, int, int] = (32, 64, 64),
    first: Callable[[int, int], nn.Module] = lambda cin, cout: nn.Conv2d(cin, cout, 5, padding=2),
    conv: Callable[[int, int], nn.Module] = lambda cin, cout: nn.Conv2d(cin, cout, 5, padding=2),
) -> nn.Sequential:
    """Three convolutions, each with its non-linearity and pool, and two linear layers: Krizhevsky's network for CIFAR-10, nearly.

    `norm` puts local response normalisation behind the first two. Weights He et al.'s, for whichever `act`.
    """
    layers, cin = [], channels
    for n, width in enumerate(widths):
        layers += [(first if n == 0 else conv)(cin, width), act()]
        if norm and n < 2:
            layers.append(local_response_norm())
        layers.append(nn.MaxPool2d(*pool, ceil_mode=True))
        cin = width
    head = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * cin, 64), act()]
    net = nn.Sequential(*layers, *head, *([nn.Dropout(dropout)] if dropout else []), nn.Linear(64, 10))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias) if layer.bias is not None else None
    return net
