"""Models in every format that a backend can export to, and how each is run."""

from pathlib import Path

import keras


def jax_export(model, path):
    """StableHLO by `jax.export`, the batch's size left open."""
    import jax
    import jax.export

    (images,) = model.inputs
    shape = jax.export.symbolic_shape(", ".join(["batch", *map(str, images.shape[1:])]))
    made = jax.export.export(jax.jit(lambda x: model(x, training=False)))(
        jax.ShapeDtypeStruct(shape, images.dtype)
    )
    path = Path(path).with_suffix(".bin")
    path.write_bytes(made.serialize())
    return jax.jit(jax.export.deserialize(path.read_bytes()).call), path


def saved_model(model, path):
    """A folder for TensorFlow Serving and its kin."""
    import tensorflow as tf

    model.export(path, format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(path)
    return lambda x: loaded.serve(x), path  # which keeps the variables of `loaded` alive


def pt2(model, path):
    """PyTorch's `ExportedProgram`, the batch's size left open."""
    import torch

    path = Path(path).with_suffix(".pt2")
    batch = torch.export.Dim("batch")
    model.export(path, format="torch", verbose=False, dynamic_shapes={0: batch})
    module = torch.export.load(path).module()
    return lambda x: module(torch.tensor(x)), path


def onnx(model, path):
    """A file for ONNX Runtime and many others."""
    import onnxruntime

    path = Path(path).with_suffix(".onnx")
    model(keras.ops.zeros([size or 1 for size in model.inputs[0].shape]))  # or it refuses
    model.export(str(path), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0], path


def litert(model, path):
    """A file for phones and small devices, formerly TensorFlow Lite."""
    from ai_edge_litert.interpreter import Interpreter

    path = Path(path).with_suffix(".tflite")
    model.export(str(path), format="litert", verbose=False)
    interpreter = Interpreter(str(path))
    given, made = (
        details()[0]["index"]
        for details in (interpreter.get_input_details, interpreter.get_output_details)
    )

    def run(x):
        interpreter.resize_tensor_input(given, x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given, x)
        interpreter.invoke()
        return interpreter.get_tensor(made)

    return run, path


def openvino(model, path):
    """For Intel's runtime; from PyTorch by way of ONNX."""
    import openvino as ov

    path = Path(path).with_suffix(".xml")
    if keras.backend.backend() == "torch":
        _, source = onnx(model, path)
        ov.save_model(ov.convert_model(source), path, compress_to_fp16=False)
    else:
        model.export(str(path), format="openvino", verbose=False)
    # Where the processor has it, OpenVINO calculates in bfloat16 unless told.
    compiled = ov.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: compiled(x)[0], path


# What each backend exports to; the first is its own format.
EXPORTERS = {
    "tensorflow": {
        "SavedModel": saved_model,
        "ONNX": onnx,
        "LiteRT": litert,
        "OpenVINO": openvino,
    },
    "jax": {"jax.export": jax_export, "SavedModel": saved_model},
    "torch": {"pt2": pt2, "ONNX": onnx, "OpenVINO": openvino},
    "numpy": {},
}
# What Keras may lack before the release that all of this was written with: 3.10 writes two formats,
# and files of ONNX from PyTorch that take one image at a time.
LATER = {"tensorflow": {"LiteRT", "OpenVINO"}, "torch": {"pt2", "ONNX", "OpenVINO"}}
COMPLETE = (3, 15)
# TensorFlow 2.18 writes what JAX 0.5.3 compiles, but cannot read it.
READS_JAX = (2, 19)


def exporters(backend):
    """Those of `EXPORTERS` that the releases at hand have."""
    if backend == "jax":
        import tensorflow as tf

        missing = {"SavedModel"} if release(tf) < READS_JAX else set()
    else:
        missing = LATER.get(backend, set()) if release(keras) < COMPLETE else set()
    return {name: export for name, export in EXPORTERS[backend].items() if name not in missing}


def release(package):
    """Major and minor version of an imported package."""
    return tuple(map(int, package.__version__.split(".")[:2]))
