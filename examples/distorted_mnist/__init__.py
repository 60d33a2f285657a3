"""Parts of the examples on distorted MNIST."""
