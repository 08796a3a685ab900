"""What recipes on ILSVRC 2012 share: 1,281,167 pictures of 1,000 classes.

`data="imagenet"` stands for a place that the user names: `convatlas train NAME --recipe.data PLACE`.
"""

from ..data.batches import Preprocess

PICTURES = 1_281_167
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # by colour: fb.resnet.torch, of a part of the training pictures


def passes(count: float, batch: int) -> int:
    """How many steps `count` passes over the pictures take."""
    return round(count * PICTURES / batch)


def wrong(right: float) -> float:
    """The error, in percent, of an accuracy that a source prints with three decimals at most."""
    return round(100 - right, 3)


def normalised(size: int) -> Preprocess:
    """Each colour with mean 0 and deviation 1, as nearly all since 2016."""
    return Preprocess(size=size, mean=MEAN, std=STD)


def centred(size: int) -> Preprocess:
    """Pixels of 0..255 from which each colour's mean is taken, and no more, as before; AlexNet, ZFNet and ResNet took each pixel's own."""
    return Preprocess(size=size, mean=MEAN, std=(1 / 255, 1 / 255, 1 / 255))


def halved(size: int) -> Preprocess:
    """From -1 to 1, as Google's networks see pictures."""
    return Preprocess(size=size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
