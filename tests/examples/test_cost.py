"""What is measured of a configuration, on small networks."""

import json

import numpy as np
import pytest

from gtsrb import configurations, cost, models

pytestmark = pytest.mark.gradient


def test_cost_measures_a_model_and_what_its_transformers_take(small_networks, tmp_path, capsys):
    cost.main(["stn", "idsia", "--steps", "3", "--output", str(tmp_path / "cost.json")])
    result = json.loads((tmp_path / "cost.json").read_text())
    stn, idsia = result["models"]
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [stn, idsia]
    assert stn["parameters"] == models.build_model("stn").count_params()
    assert stn["bytes"] > 4 * stn["parameters"]
    for row in (stn, idsia):
        for what in ("training", "inference"):
            median, low, high = row[f"{what}_images_per_second"]
            assert 0 < low <= median <= high
        assert 0 < row["pipeline_share"] < 1
    for what in ("training", "inference"):
        median, low, high = stn[f"transformers_share_{what}"]
        assert low <= median <= high < 1
        assert f"transformers_share_{what}" not in idsia


def test_unknown_model_is_an_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        cost.main(["nothing"])
    assert "no such model: nothing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["stn", "constant", "stn2", "stn3", "best"])
def test_network_without_its_transformers_has_none_and_gives_logits(name):
    with_them = models.build_model(name)
    without = models.build_model(name, with_transformers=False)
    assert models.spatial_transformer(without) is None
    assert without.output.shape == with_them.output.shape
    assert without.count_params() < with_them.count_params()
    size = configurations.CONFIGURATIONS[name].preprocessing.shape
    assert without.predict(np.zeros((1, *size), "uint8"), verbose=0).shape == (1, 43)
