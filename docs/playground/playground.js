// The page: what is chosen and dragged is in `state`; `draw` shows it. Formulas are in stn.js.
"use strict";

(() => {
  const VIEW = 1.7; // the source is shown from -VIEW to VIEW, normalized
  const SHOWN = 340; // pixels a side of both pictures
  const STEP = 0.05; // of an arrow key
  const LINES = 9; // of the grid, each way
  const DOTTED = 24; // the largest crop whose every sample is drawn
  const SVG = "http://www.w3.org/2000/svg";
  const NAMES = ["a", "b", "c", "d", "e", "f"];

  const turned = (degrees) => {
    const [cos, sin] = [Math.cos, Math.sin].map((f) => f((degrees * Math.PI) / 180));
    return [cos, -sin, 0, sin, cos, 0];
  };
  const PRESETS = {
    identity: [1, 0, 0, 0, 1, 0],
    "zoom in 2×": [0.5, 0, 0, 0, 0.5, 0],
    "zoom out 1.5×": [1.5, 0, 0, 0, 1.5, 0],
    "turn by 45°": turned(45),
    shear: [1, 0.4, 0, 0, 1, 0],
    mirror: [-1, 0, 0, 0, 1, 0],
  };

  const page = document.getElementById("stn-playground");
  const find = (name) => page.querySelector(`[data-part="${name}"]`);
  const sign = {
    ...SIGN,
    data: Float64Array.from(atob(SIGN.data), (letter) => letter.charCodeAt(0) / 255),
  };
  const state = {
    family: "affine",
    theta: [...PRESETS.identity],
    points: stn.lattice(3),
    options: { interpolation: "bilinear", fillMode: "constant", alignCorners: true },
    size: 24,
    pixel: null, // [row, column] of the crop under the pointer
  };

  const transform = () =>
    state.family === "affine" ? stn.affine(state.theta) : stn.spline(state.points);

  // Handles: where each is, and what dragging one to (x, y) does.

  const HANDLES = {
    affine: [
      {
        label: "centre of the crop",
        place: () => [state.theta[2], state.theta[5]],
        move: (x, y) => { [state.theta[2], state.theta[5]] = [x, y]; },
      },
      {
        label: "right edge of the crop",
        place: () => [state.theta[0] + state.theta[2], state.theta[3] + state.theta[5]],
        move: (x, y) => {
          [state.theta[0], state.theta[3]] = [x - state.theta[2], y - state.theta[5]];
        },
      },
      {
        label: "bottom edge of the crop",
        place: () => [state.theta[1] + state.theta[2], state.theta[4] + state.theta[5]],
        move: (x, y) => {
          [state.theta[1], state.theta[4]] = [x - state.theta[2], y - state.theta[5]];
        },
      },
    ],
    spline: stn.lattice(3).map((_, k) => ({
      label: `control point ${k + 1}`,
      place: () => state.points[k],
      move: (x, y) => { state.points[k] = [x, y]; },
    })),
  };

  // Pictures.

  const shown = ([x, y]) => [x, y].map((value) => ((value / VIEW + 1) / 2) * SHOWN);

  /** A drawing of samples, an image of `size` pixels a side, on a canvas. */
  function paint(canvas, samples, size, dim) {
    canvas.width = canvas.height = size;
    const picture = canvas.getContext("2d").createImageData(size, size);
    for (let pixel = 0; pixel < size * size; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        const value = Math.min(Math.max(samples[pixel * 3 + channel], 0), 1);
        picture.data[pixel * 4 + channel] = 255 * value;
      }
      picture.data[pixel * 4 + 3] = dim && dim(pixel) ? 90 : 255;
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  /** The sign, and pale around it what the fill mode makes of the outside. */
  function drawSource() {
    const side = SHOWN / 2;
    const place = (pixel) => ((2 * (pixel + 0.5)) / side - 1) * VIEW;
    const points = new Float64Array(side * side * 2);
    for (let pixel = 0; pixel < side * side; pixel++) {
      points[2 * pixel] = place(pixel % side);
      points[2 * pixel + 1] = place(Math.floor(pixel / side));
    }
    const { alignCorners } = state.options;
    const [right, bottom] = [sign.width, sign.height].map((size) =>
      Math.abs(stn.toNormalized(size - 0.5, size, alignCorners)),
    );
    const outside = (pixel) =>
      Math.abs(points[2 * pixel]) > right || Math.abs(points[2 * pixel + 1]) > bottom;
    const options = { ...state.options, interpolation: "nearest" };
    paint(find("source"), stn.sample(sign, points, options), side, outside);
  }

  const line = (points) => "M" + points.map((point) => shown(point).join(" ")).join("L");

  function drawGrid(move) {
    const steps = Array.from({ length: 33 }, (_, k) => k / 16 - 1);
    const lines = Array.from({ length: LINES }, (_, k) => (2 * k) / (LINES - 1) - 1);
    const paths = lines.flatMap((t) => [
      line(steps.map((s) => move(s, t))), line(steps.map((s) => move(t, s))),
    ]);
    find("lines").setAttribute("d", paths.join(""));
    find("top").setAttribute("d", line(steps.map((s) => move(s, -1))));
  }

  function drawSamples(points) {
    const dots = find("dots");
    dots.replaceChildren();
    for (let k = 0; state.size <= DOTTED && k < points.length; k += 2) {
      dots.append(circle([points[k], points[k + 1]], 1.3));
    }
  }

  function circle(place, radius) {
    const made = document.createElementNS(SVG, "circle");
    const [x, y] = shown(place);
    for (const [name, value] of Object.entries({ cx: x, cy: y, r: radius })) {
      made.setAttribute(name, value);
    }
    return made;
  }

  function draw() {
    const move = transform();
    const { alignCorners } = state.options;
    const points = stn.grid(move, state.size, state.size, alignCorners);
    const samples = stn.sample(sign, points, state.options);
    drawSource();
    drawGrid(move);
    drawSamples(points);
    paint(find("crop"), samples, state.size);
    HANDLES[state.family].forEach((handle, k) => {
      const [x, y] = shown(handle.place());
      handles[k].setAttribute("cx", x);
      handles[k].setAttribute("cy", y);
      const text = handle.place().map((value) => value.toFixed(2)).join(", ");
      handles[k].setAttribute("aria-label", `${handle.label} at ${text}`);
    });
    drawPixel(points, samples);
    find("code").textContent = code();
    state.samples = samples; // for tests
    state.grid = points;
  }

  /** What the pixel under the pointer reads. */
  function drawPixel(points, samples) {
    const marker = find("marker");
    marker.toggleAttribute("hidden", state.pixel === null);
    marker.style.display = state.pixel === null ? "none" : "";
    find("readout").textContent = "Point at a pixel of the crop to see where it is read.";
    if (state.pixel === null) return;
    const [row, column] = state.pixel;
    const k = row * state.size + column;
    const [x, y] = [points[2 * k], points[2 * k + 1]];
    const [cx, cy] = shown([x, y]);
    marker.setAttribute("cx", cx);
    marker.setAttribute("cy", cy);
    const { alignCorners } = state.options;
    const there = [
      stn.toPixels(y, sign.height, alignCorners), stn.toPixels(x, sign.width, alignCorners),
    ].map((value) => value.toFixed(2));
    const colour = Array.from(samples.slice(3 * k, 3 * k + 3), (value) => value.toFixed(2));
    find("readout").textContent =
      `Row ${row}, column ${column} of the crop reads the source at x = ${x.toFixed(3)}, ` +
      `y = ${y.toFixed(3)}: row ${there[0]}, column ${there[1]}. Red, green, blue: ` +
      `${colour.join(", ")}.`;
  }

  const number = (value) => String(Number(value.toFixed(4)));

  /** Python that makes the same crop. */
  function code() {
    const { interpolation, fillMode, alignCorners } = state.options;
    const corners = `align_corners=${alignCorners ? "True" : "False"}`;
    const size = `(${state.size}, ${state.size})`;
    const made = state.family === "affine"
      ? [
          `theta = np.array([[${state.theta.map(number).join(", ")}]], "float32")`,
          `grid = ops.affine_grid(theta, ${size}, ${corners})`,
        ]
      : [
          "theta = np.array(",
          `    [[${state.points.flat().map(number).join(", ")}]], "float32"`,
          ")",
          "spline = transforms.ThinPlateSpline(control_points=3)",
          `grid = spline.grid(theta, ${size}, ${corners})`,
        ];
    return [
      "import numpy as np",
      "from keras_stn import ops, transforms",
      "",
      ...made,
      "crops = ops.grid_sample(",
      "    images,",
      "    grid,",
      `    interpolation="${interpolation}",`,
      `    fill_mode="${fillMode}",`,
      `    ${corners},`,
      '    data_format="channels_last",',
      ")",
    ].join("\n");
  }

  // What people do.

  let handles = [];

  /** A handle goes where it is dragged, and by arrow keys. */
  function makeHandles() {
    handles.forEach((made) => made.remove());
    handles = HANDLES[state.family].map((handle) => {
      const made = circle(handle.place(), 8);
      made.setAttribute("class", "handle");
      made.setAttribute("tabindex", "0");
      made.setAttribute("role", "button");
      // A finger on a handle drags it, anywhere else it scrolls the page.
      made.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
      made.addEventListener("pointerdown", (event) => {
        made.setPointerCapture(event.pointerId);
        made.focus();
        event.preventDefault();
      });
      made.addEventListener("pointermove", (event) => {
        if (made.hasPointerCapture(event.pointerId)) moveTo(handle, pointed(event));
      });
      made.addEventListener("keydown", (event) => {
        const [x, y] = handle.place();
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
        if (!(event.key in way)) return;
        event.preventDefault();
        moveTo(handle, [x + STEP * way[event.key][0], y + STEP * way[event.key][1]]);
      });
      find("overlay").append(made);
      return made;
    });
  }

  /** The normalized point under the pointer, no further out than what is shown. */
  function pointed(event) {
    const box = find("overlay").getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map(
      (share) => (2 * Math.min(Math.max(share, 0), 1) - 1) * VIEW,
    );
  }

  // To the four decimals that the code shows: the code then makes exactly this crop.
  const rounded = (value) => Number(value.toFixed(4));

  function moveTo(handle, place) {
    handle.move(...place);
    state.theta = state.theta.map(rounded);
    state.points = state.points.map((point) => point.map(rounded));
    showTheta();
    draw();
  }

  function showTheta() {
    NAMES.forEach((name, k) => { find(`theta-${name}`).value = number(state.theta[k]); });
  }

  function setTheta(theta) {
    state.theta = theta.map(rounded);
    state.points = stn.lattice(3).map(([x, y]) => stn.affine(state.theta)(x, y).map(rounded));
    showTheta();
    draw();
  }

  function setFamily(family) {
    state.family = family;
    find("matrix").hidden = family !== "affine";
    makeHandles();
    // A spline begins where the affine transform is; coming back, the affine one is kept.
    setTheta(state.theta);
  }

  function start() {
    for (const [name, theta] of Object.entries(PRESETS)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => setTheta(theta));
      find("presets").append(button);
    }
    NAMES.forEach((name, k) => {
      find(`theta-${name}`).addEventListener("input", ({ target }) => {
        if (target.value === "" || !Number.isFinite(target.valueAsNumber)) return;
        state.theta[k] = rounded(target.valueAsNumber);
        draw();
      });
    });
    const options = { interpolation: "interpolation", "fill-mode": "fillMode" };
    for (const [part, option] of Object.entries(options)) {
      find(part).addEventListener("change", ({ target }) => {
        state.options[option] = target.value;
        draw();
      });
    }
    find("family").addEventListener("change", ({ target }) => setFamily(target.value));
    find("align-corners").addEventListener("change", ({ target }) => {
      state.options.alignCorners = target.checked;
      draw();
    });
    find("size").addEventListener("input", ({ target }) => {
      state.size = target.valueAsNumber;
      find("size-shown").textContent = `${state.size} × ${state.size}`;
      find("size-value").textContent = state.size;
      state.pixel = null;
      draw();
    });
    const point = ({ target, clientX, clientY }) => {
      const box = target.getBoundingClientRect();
      state.pixel = [(clientY - box.top) / box.height, (clientX - box.left) / box.width].map(
        (share) => Math.min(Math.max(Math.floor(share * state.size), 0), state.size - 1),
      );
      draw();
    };
    find("crop").addEventListener("pointerdown", point); // by a finger, which does not hover
    find("crop").addEventListener("pointermove", point);
    find("crop").addEventListener("pointerleave", ({ pointerType }) => {
      if (pointerType === "touch") return; // it leaves as it lifts: what it pointed at stays
      state.pixel = null;
      draw();
    });
    setFamily(state.family);
    page.state = state;
  }

  start();
})();
