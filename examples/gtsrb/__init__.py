"""The GTSRB example, part by part."""
