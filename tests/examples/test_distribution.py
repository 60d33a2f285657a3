"""Two devices do what one does: the same loss and the same gradients, to rounding."""

import os
import pathlib
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from common.errors import RunError
from gtsrb import app, distribution
from gtsrb.distribution import Devices, check_batch_size
from tests.examples import two_devices

pytestmark = pytest.mark.gradient

ROOT = pathlib.Path(__file__).parents[2]


def _start(*arguments):
    """Runs Python on arguments, on two devices."""
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "examples"),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_devices_give_the_loss_and_the_gradients_of_one(tmp_path):
    script = "-m", "tests.examples.two_devices", str(tmp_path)
    if keras.backend.backend() == "torch":
        two_devices.train("one", tmp_path)
        _start("-m", "torch.distributed.run", "--nproc-per-node=2", *script, "all")
    else:
        _start(*script, "one", "all")
    one, two = (dict(np.load(tmp_path / f"{which}.npz")) for which in ("one", "all"))
    assert one.pop("devices") == 1
    assert two.pop("devices") == 2
    states = two.pop("states")
    del one["states"]
    assert len(np.unique(states, axis=0)) == len(states)
    assert len(states) == (2 if keras.backend.backend() == "tensorflow" else 1)
    # Any backend has to be able to load them: none but TensorFlow knows synchronized layers.
    for path in (tmp_path / "all.keras", tmp_path / "all" / "checkpoint.keras"):
        with zipfile.ZipFile(path) as archive:
            assert b'"synchronized": true' not in archive.read("config.json")
        keras.models.load_model(path)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-5, rtol=1e-5, err_msg=name)


def test_batches_that_cannot_be_shared_are_an_error():
    check_batch_size(256, Devices(8))
    with pytest.raises(RunError, match=r"50 cannot be shared equally by 4 .*--batch-size 52"):
        check_batch_size(50, Devices(4))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="about torch's launcher")
def test_torch_without_its_launcher_says_how_to_start(capsys, tmp_path):
    assert app.main(["--distribute", "--output", str(tmp_path)]) == 2
    assert "torchrun --nproc-per-node=gpu examples/gtsrb.py" in capsys.readouterr().err


def test_one_device_changes_nothing():
    batch = np.arange(6)
    assert distribution.ONE_DEVICE.share(batch) is batch
    assert distribution.ONE_DEVICE.is_main
