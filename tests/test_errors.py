from deepres.errors import unknown_name


def test_unknown_name_offers_the_nearest() -> None:
    error = unknown_name("network", "resnet65", ["resnet56", "plain20", "vgg16"])
    assert str(error) == "unknown network 'resnet65'; did you mean resnet56?"


def test_unknown_name_lists_all_when_none_is_near() -> None:
    assert "there are a, b" in str(unknown_name("thing", "xyz", ["b", "a"]))
