"""Saved models that were cut short or changed: loading them fails, or works, and runs no code."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer

FAILURES = (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile, UnicodeDecodeError)


def model():
    stn = SpatialTransformer(
        keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)]),
        transform="similarity",
        theta_regularizer="l2",
        data_format="channels_last",
    )
    return keras.Sequential([keras.Input((6, 6, 1)), stn])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model().save(path)
    return path.read_bytes()


@pytest.fixture
def load(tmp_path):
    """Loads a model from bytes."""

    def from_bytes(data, **options):
        path = tmp_path / "changed.keras"
        path.write_bytes(data)
        return keras.models.load_model(path, **options)

    return from_bytes


def rewritten(saved, change, name="config.json"):
    """The file with one of its parts changed by a function of its text."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved)) as source, zipfile.ZipFile(out, "w") as target:
        for part in source.namelist():
            data = source.read(part)
            if part == name:
                new = change(data.decode("utf-8"))
                assert new != data.decode("utf-8")
                data = new.encode("utf-8")
            target.writestr(part, data)
    return out.getvalue()


def replaced(old, new):
    """A change of the configuration that puts `new` in place of the object of class `old`."""

    def walk(node):
        if isinstance(node, dict):
            if node.get("class_name") == old:
                return new
            return {key: walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list) else node

    return lambda text: json.dumps(walk(json.loads(text)))


def test_the_whole_file_loads(saved, load):
    images = np.random.default_rng(0).uniform(size=(2, 6, 6, 1)).astype("float32")
    same = load(saved).predict(images, verbose=0)
    np.testing.assert_allclose(same, images, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(saved, load, share):
    with pytest.raises(FAILURES, match=r"not a zip|[Uu]nable|not found|[Ff]ile|[Ff]ormat"):
        load(saved[: int(share * len(saved))])


def attack(marker):
    """A Lambda layer, as Keras writes it, that would make a file."""
    code = keras.layers.Lambda(eval(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]"))
    return keras.saving.serialize_keras_object(code)


@pytest.mark.parametrize("old", ["Flatten", "Similarity", "SpatialTransformer"])
def test_code_in_a_file_is_not_run(saved, load, tmp_path, old):
    marker = tmp_path / "run"
    changed = rewritten(saved, replaced(old, attack(marker)))
    with pytest.raises((ValueError, TypeError), match=r"Lambda|lambda|safe|transform"):
        load(changed)
    assert not marker.exists()


def test_it_would_be_run_without_safe_mode(saved, load, tmp_path):
    marker = tmp_path / "run"
    with pytest.raises(ValueError, match="incompatible"):  # a Lambda does not flatten
        load(rewritten(saved, replaced("Flatten", attack(marker))), safe_mode=False)
    assert marker.exists()


@pytest.mark.parametrize("old", ["Similarity", "L2", "SpatialTransformer"])
@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval")])
def test_a_function_of_another_module_is_not_called(saved, load, tmp_path, old, module, name):
    marker = tmp_path / "run"
    command = f"touch {marker}" if name == "system" else f"open({str(marker)!r}, 'w')"
    evil = {
        "module": module,
        "class_name": name,
        "config": {"command": command, "source": command},
        "registered_name": name,
    }
    changed = rewritten(saved, replaced(old, evil))
    with pytest.raises((ValueError, TypeError), match=r"Could not (deserialize|locate|interpret)"):
        load(changed)
    assert not marker.exists()


def test_an_unknown_family_is_named(saved, load):
    with pytest.raises((ValueError, TypeError), match="Wobbly"):
        load(rewritten(saved, lambda text: text.replace("Similarity", "Wobbly")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"interpolation": "bilinear"', '"interpolation": "blurry"', "`interpolation` must be"),
        ('"num_transforms": 1', '"num_transforms": -1', "`num_transforms` must be"),
        ('"fill_value": 0.0', '"fill_value": "zero"', "`fill_value` must be"),
    ],
)
def test_a_wrong_argument_is_named(saved, load, old, new, message):
    with pytest.raises((ValueError, TypeError), match=message):
        load(rewritten(saved, lambda text: text.replace(old, new)))


def test_weights_of_another_model_are_refused(saved, load):
    with pytest.raises(ValueError, match="shape"):
        load(rewritten(saved, lambda text: text.replace('"units": 3', '"units": 5')))


def test_a_changed_byte_never_ends_the_process(saved, load):
    rng = np.random.default_rng(0)
    outcomes = set()
    for place, value in zip(
        rng.integers(len(saved), size=40), rng.integers(1, 256, 40), strict=True
    ):
        data = bytearray(saved)
        data[place] ^= value
        try:
            loaded = load(bytes(data))
        except Exception:  # whatever Keras and HDF5 say
            outcomes.add("refused")
        else:
            outcomes.add("loaded")
            assert loaded.input_shape == (None, 6, 6, 1)
    assert "refused" in outcomes
