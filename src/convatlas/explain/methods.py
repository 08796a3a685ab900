"""The methods by name, imported when they are asked for."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

# Of (network, pictures, class): a map of places. And of (network, pictures, what): a value for each value of the pictures.
HEAT = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "layercam": "Layer-CAM",
    "scorecam": "Score-CAM",
    "occlusion": "fall of probability",
}
BACK = {"gradient": "gradient", "deconvnet": "deconvnet", "guided": "guided backpropagation", "integrated": "integrated gradients"}
PLACES = {
    "gradcam": "gradcam.grad_cam", "gradcam++": "gradcam.grad_cam_pp", "layercam": "gradcam.layer_cam", "scorecam": "gradcam.score_cam",
    "occlusion": "occlusion.occlusion", "gradient": "what.gradient", "deconvnet": "deconvnet.deconvnet", "guided": "guided.guided",
    "integrated": "integrated.integrated",
}  # fmt: skip


def explainer(name: str) -> Callable[..., Any]:
    module, _, function = PLACES[name].partition(".")
    return getattr(import_module(f".{module}", __package__), function)
