from networks import shell, sides


def test_maps_are_as_wide_as_drawn_in_fig_3():
    assert sides("zfnet") == [110, 55, 55, 26, 13, 13, 13, 13, 13, 6]


def test_maps_are_pooled_before_they_are_normalised():
    assert [name for name, _ in shell("zfnet").features.named_children()] == [
        "conv1",
        "pool1",
        "norm1",
        "conv2",
        "pool2",
        "norm2",
        "conv3",
        "conv4",
        "conv5",
        "pool5",
    ]
