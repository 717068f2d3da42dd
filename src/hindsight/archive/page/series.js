// The series at a place: mean with spread, reference, member, and the observations of a station.

class SeriesPlot {
  constructor(canvas) {
    this.canvas = canvas;
  }

  resize(width, height) {
    this.width = width;
    this.height = height;
    this.inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  }

  /** Pixel of a frame. */
  x(frame) {
    const [first, last] = this.window;
    return MARGIN.left + ((frame - first) / Math.max(last - first, 1)) * this.inner.width;
  }

  y(value) {
    const [low, high] = this.range;
    return MARGIN.top + ((high - value) / (high - low)) * this.inner.height;
  }

  /** The frame nearest to a pixel. */
  frame(x) {
    const [first, last] = this.window;
    const frame = Math.round(first + ((x - MARGIN.left) / this.inner.width) * (last - first));
    return Math.min(Math.max(frame, first), last);
  }

  /**
   * Draw a series.
   *
   * curves: as of `drawCurve`, with values of all frames; points: of observations, each with frame, value and kind;
   * window: first and last frame; now: the frame of the map.
   */
  draw({ curves, points, window, now }) {
    const context = prepare(this.canvas, this.width, this.height);
    const [first, last] = (this.window = window);
    const cut = (values) => values.slice(first, last + 1);
    const shown = curves.map((curve) => ({ ...curve, values: cut(curve.values), spread: curve.spread && cut(curve.spread) }));
    const seen = points.filter((point) => point.frame >= first && point.frame <= last);
    this.range = span(...shown.map((curve) => curve.values), seen.map((point) => point.value),
      ...shown.filter((curve) => curve.spread).flatMap(({ values, spread }) => [
        values.map((value, at) => value + spread[at]), values.map((value, at) => value - spread[at])]));
    axes(context, this, dates(first, last, this.inner.width / 80).map(([frame, text]) => [this.x(frame), text]));
    const middles = Array.from({ length: last - first + 1 }, (_, at) => this.x(first + at));
    for (const curve of shown) drawCurve(context, this, middles, curve);
    const size = seen.length > 150 ? 2 : seen.length > 60 ? 3 : 4;
    for (const point of seen) mark(context, this.x(point.frame), this.y(point.value), size, point.kind);
    if (now >= first && now <= last) rule(context, this, this.x(now));
  }
}

/** About `count` frames and their dates. */
function dates(first, last, count) {
  const hours = Math.max(last - first, 1) * page.hours, each = Math.max(1, Math.ceil((last - first) / Math.max(count, 1)));
  const found = [];
  for (let frame = first; frame <= last; frame += each) found.push([frame, dateText(new Date(time(frame)).toISOString(), hours)]);
  return found;
}

/** A time as an axis shows it that covers some hours: the month, the day, the hour, or the minute. */
function dateText(text, hours) {
  if (hours > 24 * 900) return text.slice(0, 7);
  if (hours > 24 * 4) return text.slice(5, 10);
  return page.hours % 1 ? text.slice(11, 16) : text.slice(8, 13).replace("T", "  ") + " h";
}

/** Everything that is known of a channel at a place, in all frames. */
async function seriesOf(channel, place) {
  const names = page.kinds.map(([name]) => name);
  const found = await Promise.all(names.map(async (name) => [name, atPlace(await field(channel, name), place)]));
  return Object.fromEntries(found);
}

/** The series as a table of comma-separated values, with the observations of a station if there is one. */
function table(channel, series, station) {
  const names = Object.keys(series);
  const head = ["time", ...names.map((name) => `${channel.name} ${name}`)];
  if (station) head.push(`observed ${station.observed.name}`, "minus the mean", "use");
  const cell = (value) => (Number.isNaN(value) ? "" : +value.toPrecision(9));
  const rows = Array.from({ length: page.frames }, (_, frame) => {
    const row = [new Date(time(frame)).toISOString().replace(".000", ""), ...names.map((name) => cell(series[name][frame]))];
    if (station && !Number.isNaN(station.code[frame])) {
      row.push(cell(station.value[frame]), cell(station.departure[frame]), page.observed.reasons[station.code[frame]]);
    } else if (station) row.push("", "", "");
    return row;
  });
  return [head, ...rows].map((row) => row.join(",")).join("\n") + "\n";
}
