"""A linear classifier on a network's features: the quick way to one's own classes, and what fine-tuning begins with.

The features of all pictures are computed once and kept on the disk. The classifier is multinomial logistic regression with an
L2 penalty: a convex problem, solved to its one answer. The penalty is chosen by cross-validation within the training pictures.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .data.batches import Preprocess
from .disk import whole
from .evaluate import laid_out
from .models.net import Net
from .sets import deal

PENALTIES = tuple(10.0 ** (0.5 - k / 2) for k in range(11))  # from the strongest; each solution begins the next


@dataclass(frozen=True)
class Linear:
    """Scores are `x @ weight.T + bias`. `penalty` was chosen by `errors`, in percent, of cross-validation: one for each of `tried`."""

    weight: Tensor
    bias: Tensor
    penalty: float
    tried: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


@contextmanager
def one_thread() -> Iterator[None]:
    """For many small products in a row: handing each out to threads takes longer than it does, far longer on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def digest(net: Net, pictures: Tensor, preprocess: Preprocess) -> str:
    """A name for the features of these pictures by this network: another weight, pixel or preprocessing gives another."""
    found = hashlib.sha256(repr((type(net).__name__, preprocess, tuple(pictures.shape))).encode())
    for name, tensor in net.state_dict().items():
        if not name.startswith("head.output"):
            found.update(name.encode())
            found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for part in pictures.split(256):
        found.update(part.contiguous().numpy().tobytes())
    return found.hexdigest()[:32]


@torch.no_grad()
def embeddings(
    net: Net,
    pictures: Tensor,
    preprocess: Preprocess,
    cache: Path | None = None,
    batch: int = 32,
    tell: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Features (N, width) of pictures (N, C, H, W) uint8, what the network's last layer sees; from the folder `cache` if they are there.

    `tell` hears how many pictures are done, and of how many.
    """
    path = None if cache is None else cache / f"{digest(net, pictures, preprocess)}.safetensors"
    if path is not None and path.exists():
        return safetensors.torch.load_file(path)["features"]
    net.eval()
    found: list[Tensor] = []
    for part in pictures.split(batch):
        found.append(net.embed(laid_out(net, preprocess(part))))
        if tell:
            tell(sum(map(len, found)), len(pictures))
    features = torch.cat(found)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as draft:
            draft.write_bytes(safetensors.torch.save({"features": features}))
    return features


def solve(x: Tensor, y: Tensor, classes: int, penalty: float, weights: Tensor | None = None, begin: Tensor | None = None) -> Tensor:
    """The (width + 1, classes) that makes mean cross-entropy + penalty / 2 * squares of all but the last row, the biases, least.

    By L-BFGS, in the precision of x, until the gradient is below 1e-5. `weights` are those of the classes in the mean.
    """
    theta = x.new_zeros(x.shape[1] + 1, classes) if begin is None else begin.clone()
    theta.requires_grad_()
    opt = torch.optim.LBFGS(
        [theta], max_iter=500, history_size=20, tolerance_grad=1e-5, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )  # fmt: skip

    def closure() -> Tensor:
        opt.zero_grad()
        loss = cross_entropy(x @ theta[:-1] + theta[-1], y, weight=weights) + penalty / 2 * theta[:-1].square().sum()
        loss.backward()
        return loss

    opt.step(closure)
    return theta.detach()


@one_thread()
def train_linear(
    x: Tensor, y: Tensor, classes: int, weights: Tensor | None = None, penalties: Sequence[float] = PENALTIES, folds: int = 5, seed: int = 0
) -> Linear:
    """The classifier of features x (N, width) of classes y (N,), its penalty that of the least cross-entropy over `folds` stratified parts.

    Features are brought to mean 0 and variance 1 first, as the penalty asks for; the answer takes them as they were.
    From the strongest penalty on they are tried until the cross-entropy has risen twice.
    """
    mean, std = x.double().mean(0), x.double().std(0, correction=0).clamp_min(1e-6)
    z, part = ((x - mean) / std).float(), deal(y, folds, seed)
    begun: list[Tensor | None] = [None] * folds
    losses: list[float] = []
    errors: list[float] = []
    for penalty in penalties:
        loss, wrong = 0.0, 0
        for fold in range(folds):
            inside, outside = part != fold, part == fold
            theta = begun[fold] = solve(z[inside], y[inside], classes, penalty, weights, begun[fold])
            scores = z[outside] @ theta[:-1] + theta[-1]
            loss += float(cross_entropy(scores, y[outside], weight=weights, reduction="sum"))
            wrong += int((scores.argmax(1) != y[outside]).sum())
        losses.append(loss)
        errors.append(100 * wrong / len(y))
        if len(losses) - losses.index(min(losses)) > 2:
            break
    best = losses.index(min(losses))
    theta = solve(z, y, classes, penalties[best], weights, begun[0]).double()
    weight = (theta[:-1] / std[:, None]).T
    return Linear(weight.float(), (theta[-1] - weight @ mean).float(), penalties[best], tuple(penalties[: len(errors)]), tuple(errors))
