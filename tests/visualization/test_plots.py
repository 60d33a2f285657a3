"""Still pictures show the images, grids and crops that they are given."""

import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_stn import visualization
from tests import reference

THETA = np.array([[0.5, -0.2, 0.1, 0.2, 0.4, 0.0], [-1.5, 0.0, 0.2, 0.0, 1.5, -0.1]])
SIZE = (7, 6)


def example(channels=3, ndim=2, crops=None, seed=0):
    """Images, grids and what the reference samples there; two of each, channels last."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(size=(2, *(5, 8, 9)[3 - ndim :], channels))
    if ndim == 2:
        grid = reference.affine_grid(THETA, SIZE)
    else:
        theta = np.array([[0.5, 0, 0, 0.1, 0, 0.6, 0, 0, 0, 0, 0.5, 0]] * 2)
        grid = reference.affine_grid(theta, (4, *SIZE))
    if crops:
        grid = np.stack([grid + 0.1 * k for k in range(crops)], axis=1)
    flat = grid.reshape(2, -1, ndim)
    warped = reference.grid_sample(images, flat).reshape(*grid.shape[:-1], channels)
    return images, grid, warped


def drawn(axes):
    """The image that a panel shows."""
    return np.asarray(axes.images[0].get_array())


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crops", [None, 2])
def test_transforms_show_input_outline_and_output(data_format, channels, crops):
    images, grid, warped = example(channels, crops=crops)
    given = [
        array if data_format == "channels_last" else np.moveaxis(array, -1, 1)
        for array in (images, warped)
    ]
    figure = visualization.plot_transforms(given[0], grid, given[1], data_format=data_format)
    panels = np.reshape(figure.axes, (2, -1))
    assert panels.shape[1] == 2 + (crops or 1)
    grid, warped = (x.reshape(2, crops or 1, *x.shape[-3:]) for x in (grid, warped))
    for i, (before, where, *after) in enumerate(panels):
        low, high = (images[i].min(), images[i].max()) if channels == 1 else (0, 1)
        expected = ((images[i] - low) / (high - low)).squeeze()
        for axes in (before, where):
            np.testing.assert_allclose(drawn(axes), expected, atol=1e-6)
        for k, axes in enumerate(after):
            crop = np.clip((warped[i, k] - low) / (high - low), 0, 1).squeeze()
            np.testing.assert_allclose(drawn(axes), crop, atol=1e-6)
            outline = visualization.grid_outline(grid[i, k], (8, 9))
            line = where.lines[4 * k + 2].get_xydata()
            np.testing.assert_allclose(line[:-1], outline, atol=1e-4)
            top = where.lines[4 * k + 3]
            np.testing.assert_allclose(top.get_xydata(), outline[: SIZE[1]], atol=1e-4)
            assert top.get_linewidth() > where.lines[4 * k + 2].get_linewidth()


def test_outline_in_pixels():
    grid = reference.affine_grid(np.array([[0.5, 0, 0, 0, 1, 0]]), (3, 4))[0]
    outline = visualization.grid_outline(grid, (11, 21))
    corners = outline[[0, 3, 5, 8]]
    np.testing.assert_allclose(corners, [[5, 0], [15, 0], [15, 10], [5, 10]], atol=1e-6)
    assert len(outline) == 2 * (3 + 4) - 4
    edges = visualization.grid_outline(grid, (11, 21), align_corners=False)
    np.testing.assert_allclose(edges[0], [4.75, -0.5], atol=1e-6)


def test_panels_are_enlarged_to_hold_the_outline_but_not_for_ever():
    images, grid, warped = example()
    figure = visualization.plot_transforms(images, grid, warped)
    inside, beyond = figure.axes[1], figure.axes[4]
    assert inside.get_xlim() == (-0.5, 8.5)
    outline = visualization.grid_outline(grid[1], (8, 9))
    low, high = beyond.get_xlim()
    assert low < outline[:, 0].min()
    assert high > outline[:, 0].max()
    figure = visualization.plot_transforms(images, 1e6 * grid, warped)
    assert figure.axes[1].get_xlim() == (-9, 18)
    figure.canvas.draw()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_what_is_not_finite_can_be_drawn(bad):
    images, grid, warped = (x.astype("float32") for x in example(channels=1))
    grid[0], warped[0], images[1, 0, 0] = bad, bad, bad
    visualization.plot_transforms(images, grid, warped).canvas.draw()
    visualization.plot_sampling_grid(images, grid).canvas.draw()
    images[:] = bad
    visualization.plot_transforms(images, grid, warped).canvas.draw()


def test_colours_beyond_one_are_scaled():
    images, grid, warped = example()
    figure = visualization.plot_transforms(255 * images, grid, 255 * warped)
    np.testing.assert_allclose(drawn(figure.axes[0]), images[0] / images[0].max(), atol=1e-5)
    integers = (255 * images).astype("uint8")
    figure = visualization.plot_transforms(integers, grid, integers[:, :7, :6])
    assert drawn(figure.axes[0]).max() == 1


@pytest.mark.parametrize(("depth", "slices"), [(0, (0, 0)), (0.5, (2, 2)), (1, (4, 3))])
def test_of_volumes_a_slice_is_drawn(depth, slices):
    images, grid, warped = example(3, ndim=3)
    figure = visualization.plot_transforms(images, grid, warped, depth=depth)
    before, where, after = figure.axes[:3]
    np.testing.assert_allclose(drawn(before), images[0, slices[0]], atol=1e-6)
    np.testing.assert_allclose(drawn(after), warped[0, slices[1]], atol=1e-6)
    outline = visualization.grid_outline(grid[0, slices[1], ..., :2], (8, 9))
    np.testing.assert_allclose(where.lines[2].get_xydata()[:-1], outline, atol=1e-4)


def test_of_an_even_number_of_slices_the_upper_middle_one_is_drawn():
    for size in (2, 4, 6, 8):
        volumes = np.arange(size)[None, :, None, None, None] * np.ones((1, 1, 3, 3, 3)) / size
        grid = np.zeros((1, size, 2, 2, 3))
        figure = visualization.plot_sampling_grid(volumes, grid)
        np.testing.assert_allclose(drawn(figure.axes[0]), 0.5, atol=1e-6)


def test_titles_may_be_labels():
    images, grid, _ = example()
    figure = visualization.plot_sampling_grid(images, grid, titles=np.array([3, 5]))
    assert [axes.get_title() for axes in figure.axes] == ["3", "5"]


def test_an_outline_is_of_one_grid():
    with pytest.raises(ValueError, match=r"grid.shape=\(1, 3, 3, 2\)"):
        visualization.grid_outline(np.zeros((1, 3, 3, 2)), (8, 9))


def test_sampling_grid_is_drawn_line_by_line():
    images, grid, _ = example()
    figure = visualization.plot_sampling_grid(images, grid, lines=3, titles=["one", "two"])
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    lines = figure.axes[0].lines
    # Three rows, three columns, then the outline's four.
    assert len(lines) == 10
    height, width = SIZE
    x = (grid[0, ..., 0] + 1) / 2 * 8
    y = (grid[0, ..., 1] + 1) / 2 * 7
    places = np.stack([x, y], axis=-1)
    for line, row in zip(lines[:3], (0, height // 2, height - 1), strict=True):
        np.testing.assert_allclose(line.get_xydata(), places[row], atol=1e-5)
    for line, column in zip(lines[3:6], (0, 2, width - 1), strict=True):
        np.testing.assert_allclose(line.get_xydata(), places[:, column], atol=1e-5)


def test_more_lines_than_the_grid_has_are_all_of_them():
    images, grid, _ = example()
    figure = visualization.plot_sampling_grid(images, grid, lines=100)
    assert len(figure.axes[0].lines) == sum(SIZE) + 4


@pytest.mark.parametrize(("columns", "rows"), [(1, 2), (2, 1), (5, 1)])
def test_images_stand_in_columns(columns, rows):
    images, grid, warped = example()
    figure = visualization.plot_sampling_grid(images, grid, columns=columns)
    figure.canvas.draw()
    middles = {round(np.mean(axes.get_position().intervaly), 2) for axes in figure.axes}
    assert len(middles) == rows
    figure = visualization.plot_transforms(images, grid, warped, columns=columns)
    figure.canvas.draw()
    assert sum(len(axes.images) for axes in figure.axes) == 6


def test_titles_do_not_overlap_the_row_above():
    images, grid, warped = example()
    figure = visualization.plot_transforms(images, grid, warped, titles=["a", "two\nlines"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    title = figure.axes[4].title.get_window_extent(renderer)
    above = figure.axes[1].get_window_extent(renderer)
    assert title.y1 <= above.y0
    assert figure.axes[1].title.get_window_extent(renderer).y1 <= figure.bbox.height


def test_nothing_is_shown_and_pyplot_is_left_alone():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    images, grid, warped = example()
    visualization.plot_transforms(images, grid, warped)
    visualization.plot_sampling_grid(images, grid)
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda i, g, w: (i[..., :2], g, w), "1 or 3 channels"),
        (lambda i, g, w: (i, g[:1], w), r"grid.shape=\(1, 7, 6, 2\)"),
        (lambda i, g, w: (i, g, w[:, :5]), r"warped.shape=\(2, 5, 6, 3\)"),
        (lambda i, g, w: (i, g[..., :1], w), "sampling grids"),
        (lambda i, g, w: (i[0], g, w), "must be a batch"),
        (lambda i, g, w: (i[:0], g[:0], w[:0]), "one or more images"),
        (lambda i, g, w: (i, g[:, :0], i[:, :0]), r"grid.shape=\(2, 0, 6, 2\)"),
        (lambda i, g, w: (i, g[:, None][:, :0], w[:, None][:, :0]), r"grid.shape=\(2, 0, 7, 6, 2"),
        (lambda i, g, w: (i, g, None), r"warped.shape=\(\)"),
        (lambda i, g, w: (None, g, w), r"images.shape=\(\)"),
        (lambda i, g, w: (np.moveaxis(i, -1, 1), g, w), "Check `data_format`"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    images, grid, warped = change(*example())
    with pytest.raises(ValueError, match=match):
        visualization.plot_transforms(images, grid, warped, data_format="channels_last")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"titles": ["one"]}, "one string for each of the 2 images"),
        ({"titles": "ab"}, "one string for each of the 2 images"),
        ({"titles": 3}, "one string for each of the 2 images"),
        ({"columns": 0}, "`columns` must be a positive integer"),
        ({"depth": 1.5}, "`depth` must be between 0"),
        ({"depth": "last"}, "`depth` must be between 0"),
        ({"data_format": "NHWC"}, "`data_format` must be one of"),
        ({"lines": 0}, "`lines` must be a positive integer"),
    ],
)
def test_wrong_options_are_refused(options, match):
    images, grid, _ = example()
    with pytest.raises(ValueError, match=match):
        visualization.plot_sampling_grid(images, grid, **options)


@pytest.mark.parametrize("name", ["plot_transforms", "plot_sampling_grid", "animate_theta"])
def test_without_matplotlib_they_say_how_to_install_it(name, monkeypatch):
    for module in [module for module in sys.modules if module.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    images, grid, warped = example()
    arguments = {
        "plot_transforms": (images, grid, warped),
        "plot_sampling_grid": (images, grid),
        "animate_theta": (images, THETA[:, None]),
    }
    with pytest.raises(ImportError, match=rf"`{name}` needs matplotlib. .*keras-stn\[viz\]"):
        getattr(visualization, name)(*arguments[name])
