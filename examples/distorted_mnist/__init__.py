"""Parts of the distorted MNIST examples."""
