from deepres.report.architecture import cifar_architecture, shortcut_costs, table1


def test_table1_has_a_column_for_each_network_and_the_costs_below() -> None:
    networks = {
        "resnet18": [("conv1", "112×112", "7×7, 64", 10**9), ("fc", "1×1", "1000-d fc", 8 * 10**8)],
        "resnet34": [("conv1", "112×112", "7×7, 64", 36 * 10**8)],
    }
    table = table1(networks)
    assert table.columns == ["stage", "output", "ResNet-18", "ResNet-34"]
    assert table.rows == [
        ["conv1", "112×112", "7×7, 64", "7×7, 64"],
        ["fc", "1×1", "1000-d fc", "–"],
        ["multiply-adds, 10⁹", "published", "1.8", "3.6"],
        ["multiply-adds, 10⁹", "ours", "1.80", "3.60"],
    ]


def test_the_cifar_networks_beside_the_papers_rule() -> None:
    table = cifar_architecture({"resnet20": [("32×32", 7, 16), ("16×16", 6, 32), ("8×8", 6, 64)]})
    assert table.columns == ["output map size", "32×32", "16×16", "8×8"]
    assert table.rows == [
        ["layers, published", "1+2n", "2n", "2n"],
        ["filters, published", "16", "32", "64"],
        ["layers of ResNet-20", "7", "6", "6"],
        ["filters of ResNet-20", "16", "32", "64"],
    ]


def test_shortcuts_have_their_costs_side_by_side() -> None:
    table = shortcut_costs([("bottleneck", 69_632, 135_168, 218_365_952, 423_886_848)])
    assert table.rows == [["bottleneck", "69,632", "135,168", "1.94", "218.4", "423.9", "1.94"]]
    assert table.columns[1:3] == ["weights, identity", "weights, projection"]
