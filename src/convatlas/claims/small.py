"""A small network of the AlexNet kind for 32 x 32 pictures, whose parts can be exchanged one at a time."""

from collections.abc import Callable

from torch import nn


def small(
    channels: int,
    act: Callable[[], nn.Module] = nn.ReLU,
    norm: bool = False,
    pool: tuple[int, int] = (3, 2),
    dropout: float = 0.0,
    hidden: int = 64,
    widths: tuple[int, int, int] = (32, 64, 64),
    first: Callable[[int, int], nn.Module] = lambda cin, cout: nn.Conv2d(cin, cout, 5, padding=2),
    conv: Callable[[int, int], nn.Module] = lambda cin, cout: nn.Conv2d(cin, cout, 5, padding=2),
) -> nn.Sequential:
    """Three convolutions, each with its non-linearity and pool, and two linear layers: Krizhevsky's network for CIFAR-10, nearly.

    `norm` puts local response normalisation behind the first two, with the paper's numbers in units of normalised pixels, whose spread
    is some 63 of 255. Weights spread as He et al. have it for ReLUs, and LeCun et al. for other non-linearities.
    """
    layers, cin = [], channels
    for n, width in enumerate(widths):
        layers += [(first if n == 0 else conv)(cin, width), act()]
        if norm and n < 2:
            layers.append(nn.LocalResponseNorm(5, alpha=5e-4 * 63**2, beta=0.75, k=2))
        layers.append(nn.MaxPool2d(*pool, ceil_mode=True))
        cin = width
    head = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(dropout), nn.Linear(16 * cin, hidden), act(), nn.Dropout(dropout)]
    net = nn.Sequential(*layers, *(h for h in head if dropout or not isinstance(h, nn.Dropout)), nn.Linear(hidden, 10))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if act is nn.ReLU else "linear")
            nn.init.zeros_(layer.bias) if layer.bias is not None else None
    return net
