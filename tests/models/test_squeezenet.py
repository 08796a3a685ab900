from networks import sides

from convatlas.check import analysis


def test_maps_are_as_wide_as_in_table_1_on_227_pixels():
    assert sides("squeezenet1_0") == [111, 55, 55, 55, 55, 27, 27, 27, 27, 27, 13, 13]
    assert sides("squeezenet1_0", 224)[0] == 109


def test_every_layer_is_a_convolution():
    assert not [x for x in analysis("squeezenet1_0").layers if x.kind == "Linear"]
