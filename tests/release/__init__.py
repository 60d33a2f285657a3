"""What is published: `python -m tests.release` tries it, the tests look at what it holds."""
