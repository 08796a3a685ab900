"""Zeiler & Fergus 2013, section 4.1, figure 4: how features come about while a network learns."""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from .patches import Patch, strongest


def evolution(
    net: nn.Module, states: Iterable[Mapping[str, Tensor]], batches: Iterable[Tensor], layer: str, maps: Sequence[int] = ()
) -> dict[int, list[Patch]]:
    """For each of these maps of a layer, the patch that excites it most of all pictures, with each of the states, first to last.

    `states` are the network's weights as they were on the way, `batches` pictures (N, C, H, W) as it takes them, gone through once for
    each. It is left in the last. Without `maps`, those of `strongest`.
    """
    found: dict[int, list[Patch]] = {}
    for state in states:
        net.load_state_dict(state)
        for m, best in strongest(net, batches, layer, maps, best=1).items():
            found.setdefault(m, []).extend(best)
    return found
