// The library's formulas, in plain JavaScript and float64: thetas, sampling grids, samples.
// tests/test_playground.py compares every function with keras_stn.
//
// A grid is a flat array of (x, y) for each pixel of the result, row by row; an image is
// {height, width, channels, data}, its data row by row, channels last.
"use strict";

const stn = (() => {
  const A = -0.75; // of cubic convolution, as in torch and ONNX

  const toPixels = (x, size, alignCorners) =>
    alignCorners ? ((x + 1) / 2) * (size - 1) : ((x + 1) / 2) * size - 0.5;

  const toNormalized = (pixel, size, alignCorners) =>
    alignCorners ? (2 * pixel) / (size - 1) - 1 : (2 * pixel + 1) / size - 1;

  /** A grid of `transform`, a function from a target point (x, y) to its source point. */
  function grid(transform, height, width, alignCorners) {
    const points = new Float64Array(height * width * 2);
    let place = 0;
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const x = toNormalized(column, width, alignCorners);
        const y = toNormalized(row, height, alignCorners);
        [points[place++], points[place++]] = transform(x, y);
      }
    }
    return points;
  }

  /** Theta, six numbers row by row, as a function of points. */
  function affine([a, b, c, d, e, f]) {
    return (x, y) => [a * x + b * y + c, d * x + e * y + f];
  }

  /** The points, row by row, of a lattice from corner to corner. */
  function lattice(side) {
    const points = [];
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        points.push([(2 * column) / (side - 1) - 1, (2 * row) / (side - 1) - 1]);
      }
    }
    return points;
  }

  const bend = (square) => (square === 0 ? 0 : 0.5 * square * Math.log(square));

  /** The thin-plate spline that takes the lattice's points to those of theta, [[x, y], ...]. */
  function spline(theta) {
    const control = lattice(Math.round(Math.sqrt(theta.length)));
    const count = control.length;
    const features = (x, y) => [
      ...control.map(([u, v]) => bend((x - u) ** 2 + (y - v) ** 2)), 1, x, y,
    ];
    const rows = control.map(([x, y], k) => [
      ...features(x, y), theta[k][0] - x, theta[k][1] - y,
    ]);
    for (const plane of [() => 1, ([x]) => x, ([, y]) => y]) {
      rows.push([...control.map(plane), 0, 0, 0, 0, 0]);
    }
    const weights = solve(rows, count + 3);
    return (x, y) => {
      const moved = [x, y];
      features(x, y).forEach((feature, k) => {
        moved[0] += feature * weights[k][0];
        moved[1] += feature * weights[k][1];
      });
      return moved;
    };
  }

  /** Gaussian elimination of `rows`, a system of `size` unknowns with right hand sides behind. */
  function solve(rows, size) {
    for (let i = 0; i < size; i++) {
      let pivot = i;
      for (let k = i + 1; k < size; k++) {
        if (Math.abs(rows[k][i]) > Math.abs(rows[pivot][i])) pivot = k;
      }
      [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
      for (let k = 0; k < size; k++) {
        const factor = k === i ? 0 : rows[k][i] / rows[i][i];
        if (factor) rows[k] = rows[k].map((value, j) => value - factor * rows[i][j]);
      }
    }
    return rows.map((row, i) => row.slice(size).map((value) => value / row[i]));
  }

  const modulo = (x, period) => x - Math.floor(x / period) * period;

  function reflected(x, edge, length) {
    const place = modulo(x - edge, 2 * length);
    return edge + (place > length ? 2 * length - place : place);
  }

  /** Pixel coordinates outside the image, brought into it by the fill mode. */
  function fold(x, size, fillMode) {
    if (fillMode === "nearest") return Math.min(Math.max(x, 0), size - 1);
    if (fillMode === "mirror") return reflected(x, 0, size - 1);
    if (fillMode === "reflect") return reflected(x, -0.5, size);
    if (fillMode === "wrap") return modulo(x, size);
    return x;
  }

  function halfToEven(x) {
    const low = Math.floor(x);
    if (x - low !== 0.5) return Math.round(x);
    return low % 2 === 0 ? low : low + 1;
  }

  const KERNELS = {
    bilinear: { reach: 1, weight: (d) => Math.max(0, 1 - d) },
    bicubic: {
      reach: 2,
      weight: (d) => {
        if (d < 1) return (A + 2) * d ** 3 - (A + 3) * d ** 2 + 1;
        return d < 2 ? A * (d ** 3 - 5 * d ** 2 + 8 * d - 4) : 0;
      },
    },
  };

  /** [[index or null outside, weight], ...] of the pixels that a coordinate reads on one axis. */
  function taps(x, size, interpolation, fillMode) {
    const readable = (index) => {
      const folded = fold(index, size, fillMode);
      return folded >= 0 && folded < size ? Math.round(folded) % size : null;
    };
    if (interpolation === "nearest") {
      return [[readable(halfToEven(fillMode === "constant" ? x : fold(x, size, fillMode))), 1]];
    }
    const { reach, weight } = KERNELS[interpolation];
    const low = Math.floor(x);
    const found = [];
    for (let index = low - reach + 1; index <= low + reach; index++) {
      found.push([readable(index), weight(Math.abs(x - index))]);
    }
    return found;
  }

  /** Samples of `image` at the points of a grid: a flat array, channels last. */
  function sample(image, points, { interpolation, fillMode, fillValue = 0, alignCorners }) {
    const { height, width, channels, data } = image;
    const count = points.length / 2;
    const samples = new Float64Array(count * channels);
    for (let point = 0; point < count; point++) {
      const x = toPixels(points[2 * point], width, alignCorners);
      const y = toPixels(points[2 * point + 1], height, alignCorners);
      const columns = taps(x, width, interpolation, fillMode);
      for (const [row, rowWeight] of taps(y, height, interpolation, fillMode)) {
        for (const [column, columnWeight] of columns) {
          const outside = row === null || column === null;
          for (let channel = 0; channel < channels; channel++) {
            const value = outside ? fillValue : data[(row * width + column) * channels + channel];
            samples[point * channels + channel] += rowWeight * columnWeight * value;
          }
        }
      }
    }
    return samples;
  }

  return { affine, grid, lattice, sample, spline, toNormalized, toPixels };
})();
