// The map: boxes in colours, coastlines, stations; and for a line of points, its curve.

const MARGIN = { left: 46, right: 12, top: 8, bottom: 24 };

/** The edges of the map: a globe is centred on Greenwich. */
const extent = page.periodic && !grid.line
  ? { west: -180, east: 180, south: page.latitude[0], north: page.latitude.at(-1) }
  : { west: page.longitude[0], east: page.longitude.at(-1), south: page.latitude[0], north: page.latitude.at(-1) };

class FieldMap {
  constructor(canvas) {
    this.canvas = canvas;
  }

  /** Fit the map into a width and a height of CSS pixels. */
  resize(width, height) {
    const { west, east, south, north } = extent;
    const stretch = page.periodic ? 1 : 1 / Math.max(Math.cos(((south + north) / 2) * (Math.PI / 180)), 0.2);
    const aspect = ((north - south) / (east - west)) * stretch;
    const across = Math.min(width - MARGIN.left - MARGIN.right, (height - MARGIN.top - MARGIN.bottom) / aspect);
    this.inner = { width: across, height: across * aspect };
    this.width = across + MARGIN.left + MARGIN.right;
    this.height = this.inner.height + MARGIN.top + MARGIN.bottom;
    this.columns = this.rows = null;
  }

  x(longitude) {
    const turned = page.periodic ? extent.west + ((((longitude - extent.west) % 360) + 360) % 360) : longitude;
    return MARGIN.left + ((turned - extent.west) / (extent.east - extent.west)) * this.inner.width;
  }

  y(latitude) {
    return MARGIN.top + ((extent.north - latitude) / (extent.north - extent.south)) * this.inner.height;
  }

  /** Latitude and longitude at a pixel. */
  place(x, y) {
    return [
      extent.north - ((y - MARGIN.top) / this.inner.height) * (extent.north - extent.south),
      extent.west + ((x - MARGIN.left) / this.inner.width) * (extent.east - extent.west),
    ];
  }

  /** Draw a frame of a field, (rows x columns), with the marks of stations and the chosen place. */
  draw({ values, scale, marks, chosen }) {
    const context = prepare(this.canvas, this.width, this.height);
    this.boxes(context, values, scale);
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top, this.inner.width, this.inner.height);
    context.clip();
    this.coast(context);
    for (const one of marks) mark(context, this.x(one.longitude), this.y(one.latitude), one.size, one.kind);
    if (chosen) this.cross(context, chosen);
    context.restore();
    this.frame(context);
  }

  /** The colour of every pixel is that of the box in which it lies, without interpolation. */
  boxes(context, values, scale) {
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.round(this.inner.width * ratio), high = Math.round(this.inner.height * ratio);
    if (!this.columns) {
      const column = (x) => grid.box(page.latitude[0], this.place(MARGIN.left + (x + 0.5) / ratio, 0)[1]);
      const row = (y) => Math.floor(grid.box(this.place(0, MARGIN.top + (y + 0.5) / ratio)[0], page.longitude[0]) / grid.columns);
      this.columns = Int32Array.from({ length: wide }, (_, x) => column(x));
      this.rows = Int32Array.from({ length: high }, (_, y) => row(y));
      this.image = context.createImageData(wide, high);
    }
    const colours = palette(scale.palette), pixels = this.image.data;
    const shades = Int32Array.from(values, (value) => Number.isNaN(value) ? -1
      : Math.round(255 * Math.min(1, Math.max(0, (value - scale.low) / (scale.high - scale.low)))));
    for (let y = 0, at = 0; y < high; y++) {
      for (let x = 0; x < wide; x++, at += 4) {
        const shade = shades[this.rows[y] * grid.columns + this.columns[x]];
        pixels[at] = shade < 0 ? 128 : colours[3 * shade];
        pixels[at + 1] = shade < 0 ? 128 : colours[3 * shade + 1];
        pixels[at + 2] = shade < 0 ? 128 : colours[3 * shade + 2];
        pixels[at + 3] = 255;
      }
    }
    context.putImageData(this.image, Math.round(MARGIN.left * ratio), Math.round(MARGIN.top * ratio));
  }

  coast(context) {
    context.beginPath();
    for (const line of page.coast) {
      for (let at = 0; at < line.length; at += 2) {
        const longitude = line[at] * page.tolerance, latitude = line[at + 1] * page.tolerance;
        const x = MARGIN.left + ((longitude - extent.west) / (extent.east - extent.west)) * this.inner.width;
        if (at === 0) context.moveTo(x, this.y(latitude));
        else context.lineTo(x, this.y(latitude));
      }
    }
    for (const [colour, width] of [["rgb(255 255 255 / .55)", 2.2], ["#111", 0.9]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }

  /** A cross with a rim, which is seen on every colour. */
  cross(context, [latitude, longitude]) {
    const x = this.x(longitude), y = this.y(latitude);
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 5 * dx, y + 5 * dy);
      context.lineTo(x + 13 * dx, y + 13 * dy);
    }
    for (const [colour, width] of [["#fff", 5], ["#111", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }

  /** The rim, and degrees along it. */
  frame(context) {
    context.strokeStyle = context.fillStyle = ink("quiet");
    context.lineWidth = 1;
    context.strokeRect(MARGIN.left, MARGIN.top, this.inner.width, this.inner.height);
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const at of degrees(extent.west, extent.east, this.inner.width / 90)) {
      context.fillText(longitudeText(at), Math.min(this.linear(at), this.width - 16), this.height - MARGIN.bottom + 6);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const at of degrees(extent.south, extent.north, this.inner.height / 55)) {
      context.fillText(latitudeText(at), MARGIN.left - 5, this.y(at));
    }
  }

  linear(longitude) {
    return MARGIN.left + ((longitude - extent.west) / (extent.east - extent.west)) * this.inner.width;
  }
}

/** The curve of a frame along a line of points: mean with spread, the reference, a member, and observations. */
class Line {
  constructor(canvas) {
    this.canvas = canvas;
    this.edges = grid.axis === "longitude" ? page.longitude : page.latitude;
  }

  resize(width, height) {
    this.width = width;
    this.height = Math.min(height, 360);
    this.inner = { width: width - MARGIN.left - MARGIN.right, height: this.height - MARGIN.top - MARGIN.bottom };
  }

  x(degrees) {
    const [west, east] = [this.edges[0], this.edges.at(-1)];
    const turned = page.periodic ? west + ((((degrees - west) % 360) + 360) % 360) : degrees;
    return MARGIN.left + ((turned - west) / (east - west)) * this.inner.width;
  }

  y(value) {
    const [low, high] = this.range;
    return MARGIN.top + ((high - value) / (high - low)) * this.inner.height;
  }

  place(x) {
    const at = this.edges[0] + ((x - MARGIN.left) / this.inner.width) * (this.edges.at(-1) - this.edges[0]);
    return grid.axis === "longitude" ? [grid.latitude(0), at] : [at, grid.longitude(0)];
  }

  /** Draw curves: each has a colour and values by box, and may have a `spread`. */
  draw({ curves, range, marks, chosen }) {
    const context = prepare(this.canvas, this.width, this.height);
    this.range = range;
    const middles = Array.from({ length: grid.size }, (_, box) => this.x(grid.middle(box)[+(grid.axis === "longitude")]));
    axes(context, this, degrees(this.edges[0], this.edges.at(-1), this.inner.width / 90).map((at) =>
      [MARGIN.left + ((at - this.edges[0]) / (this.edges.at(-1) - this.edges[0])) * this.inner.width,
        grid.axis === "longitude" ? longitudeText(at) : latitudeText(at)]));
    for (const curve of curves) drawCurve(context, this, middles, curve);
    for (const one of marks) {
      mark(context, this.x(one[grid.axis]), this.y(one.value), one.size, one.kind);
    }
    if (chosen) rule(context, this, this.x(chosen[+(grid.axis === "longitude")]));
  }
}

/** The rim, the ticks across (pixel and text of each) and the values upwards. */
function axes(context, plot, across) {
  const { left, top } = MARGIN, { width, height } = plot.inner;
  context.strokeStyle = ink("line");
  context.fillStyle = ink("quiet");
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of ticks(...plot.range, height / 45)) {
    context.fillText(tickText(value), left - 5, plot.y(value));
    context.beginPath();
    context.moveTo(left, plot.y(value));
    context.lineTo(left + width, plot.y(value));
    context.stroke();
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const [x, text] of across) context.fillText(text, Math.min(Math.max(x, left), plot.width - 18), top + height + 6);
}

/** A curve with its band of spread; it breaks where values are missing. */
function drawCurve(context, plot, middles, { values, colour, spread, width = 1.6, dash = [] }) {
  if (spread) {
    context.beginPath();
    values.forEach((value, at) => context.lineTo(middles[at], plot.y(value + spread[at])));
    values.toReversed().forEach((value, back) => {
      const at = values.length - 1 - back;
      context.lineTo(middles[at], plot.y(value - spread[at]));
    });
    context.globalAlpha = 0.25;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }
  context.beginPath();
  let drawing = false;
  values.forEach((value, at) => {
    if (Number.isNaN(value)) drawing = false;
    else if (drawing) context.lineTo(middles[at], plot.y(value));
    else {
      context.moveTo(middles[at], plot.y(value));
      drawing = true;
    }
  });
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

/** A vertical line at a pixel. */
function rule(context, plot, x) {
  context.beginPath();
  context.moveTo(x, MARGIN.top);
  context.lineTo(x, MARGIN.top + plot.inner.height);
  context.strokeStyle = ink("ink");
  context.setLineDash([3, 3]);
  context.lineWidth = 1;
  context.stroke();
  context.setLineDash([]);
}
