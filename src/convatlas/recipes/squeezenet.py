"""Iandola et al. 2016: the rate falls in a straight line from .04 to nothing."""

from ..data.jitter import JitteredCrop
from . import Knots, Recipe, View
from .imagenet import centred, wrong
from .optimisers import SGD

# Section 3.3: "we begin with a learning rate of 0.04, and we linearly decrease the learning rate throughout training". Batch, length and
# decay stood in the solver beside it, of which earlier versions are read here: 85,000 steps of 1,024 from .08, falling as a root.
SQUEEZENET = Recipe(
    source='Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy", section 3.3, and SqueezeNet_v1.0/solver.prototxt',
    model="squeezenet1_0",
    data="imagenet",
    steps=170_000,
    batch=512,
    rate=Knots(points=((0.0, 0.04), (1.0, 0.0))),
    optimiser=SGD(momentum=0.9, decay=2e-4),
    crop=JitteredCrop(size=227, shorter=(256, 256)),
    preprocess=centred(227),
    view=View(resize=256, crop=227),
    test=2_500,
    published=wrong(57.5),
    precision="auto",
    layout="auto",
    remembered=("steps", "batch", "rate", "published"),
)

RECIPES = {"squeezenet1_0-imagenet": SQUEEZENET}
