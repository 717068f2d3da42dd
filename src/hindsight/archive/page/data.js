// The data of the page: fields and observations, unpacked when they are first shown. The format is that of packing.py.

const page = JSON.parse(document.getElementById("page").textContent);
const MISSING = 65535;

/** The bytes of a base64 text that were deflated. */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The values of a block of rows, one after the other; NaN where they are missing. */
async function unpack(block) {
  const bytes = await inflate(block.data);
  const count = bytes.length / 2, width = count / block.rows;
  const numbers = new Uint16Array(count), values = new Float64Array(count);
  for (let at = 0; at < count; at++) {
    const sign = bytes[at] | (bytes[count + at] << 8);
    const before = at >= width ? numbers[at - width] : at > 0 ? numbers[at - 1] : 0;
    numbers[at] = before + ((sign >>> 1) ^ -(sign & 1)); // modulo 65536, as it is an array of Uint16
    values[at] = numbers[at] === MISSING ? NaN : (block.offset + numbers[at]) * block.step;
  }
  return values;
}

/** One value after the other of several blocks. */
async function unpackAll(blocks) {
  const parts = await Promise.all(blocks.map(unpack));
  const values = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return values;
}

/** The grid of the page's boxes: rows from south to north, columns from west to east. */
const grid = {
  rows: page.latitude.length - 1,
  columns: page.longitude.length - 1,
  get size() { return this.rows * this.columns; },
  get line() { return this.rows === 1 || this.columns === 1; },
  /** What is drawn along a line of points. */
  get axis() { return this.rows === 1 ? "longitude" : "latitude"; },
  latitude(row) { return (page.latitude[row] + page.latitude[row + 1]) / 2; },
  longitude(column) { return (page.longitude[column] + page.longitude[column + 1]) / 2; },
  /** A longitude on a globe, from its first edge on. */
  turned(longitude) {
    const west = page.longitude[0];
    return page.periodic ? west + ((((longitude - west) % 360) + 360) % 360) : longitude;
  },
  /** The number of the box at a place; -1 outside. */
  box(latitude, longitude) {
    const row = interval(page.latitude, latitude), column = interval(page.longitude, this.turned(longitude));
    return row < 0 || column < 0 ? -1 : row * this.columns + column;
  },
  /** Latitude and longitude of the middle of a box. */
  middle(box) {
    return [this.latitude(Math.floor(box / this.columns)), this.longitude(box % this.columns)];
  },
};

/** The number of the interval between rising edges in which a value lies; -1 outside. */
function interval(edges, value) {
  let low = 0, high = edges.length - 1;
  if (!(value >= edges[0] && value <= edges[high])) return -1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

const unpacked = new Map();

/** All frames of a field; `difference` is the mean minus the reference. */
function field(channel, kind) {
  const key = `${channel.name} ${kind}`;
  if (!unpacked.has(key)) unpacked.set(key, made(channel, kind));
  return unpacked.get(key);
}

/** Some kinds are packed as what they are above the mean. */
async function made(channel, kind) {
  const above = kind === "difference" || page.relative.includes(kind);
  if (!above) return unpackAll(channel.fields[kind]);
  const [mean, more] = await Promise.all([field(channel, "mean"), unpackAll(channel.fields[kind === "difference" ? "reference" : kind])]);
  return kind === "difference" ? more.map((value) => -value) : mean.map((value, at) => value + more[at]);
}

/** The intervals between edges whose middles are next to a value, and their weights in a linear interpolation. */
function neighbours(edges, value, turns) {
  const count = edges.length - 1, at = interval(edges, value), away = value - (edges[at] + edges[at + 1]) / 2;
  const other = turns ? (at + Math.sign(away) + count) % count : at + Math.sign(away);
  if (!away || !(other >= 0 && other < count)) return [[at, 1]];
  const apart = (edges[at + 1] - edges[at] + edges[other + 1] - edges[other]) / 2;
  return [[at, 1 - Math.abs(away) / apart], [other, Math.abs(away) / apart]];
}

/** The values at a place in all frames, interpolated bilinearly between the middles of boxes. */
function atPlace(values, [latitude, longitude]) {
  const rows = neighbours(page.latitude, latitude, false), columns = neighbours(page.longitude, grid.turned(longitude), page.periodic);
  const boxes = rows.flatMap(([row, up]) => columns.map(([column, right]) => [row * grid.columns + column, up * right]));
  return Array.from({ length: page.frames }, (_, frame) =>
    boxes.reduce((sum, [box, weight]) => sum + weight * values[frame * grid.size + box], 0));
}

/** The kinds that can be shown, with their names. */
function kinds() {
  const known = page.kinds.map(([name, label]) => ({ name, label }));
  const reference = known.find((kind) => kind.name === "reference");
  return reference ? [...known, { name: "difference", label: `mean minus ${reference.label}` }] : known;
}

/** The time of a frame, in milliseconds. */
const time = (frame) => Date.parse(page.start) + frame * page.hours * 3_600_000;
/** The time of a frame in UTC, to the minute. */
const timeText = (frame) => `${new Date(time(frame)).toISOString().slice(0, 16).replace("T", " ")} UTC`;

/**
 * The observations by series: a station and what it observes there. Codes are in all frames, NaN where there is no
 * observation; value and departure likewise.
 */
const observations = (async () => {
  const { series, code, value, departure, channels } = page.observed;
  if (!series.length) return [];
  const [codes, values, departures] = await Promise.all([code, value, departure].map(unpack));
  let next = 0;
  return series.map(([place, number], row) => {
    const [name, latitude, longitude] = page.observed.places[place], observed = channels[number];
    const found = { place, name, latitude, longitude, observed, code: [], value: [], departure: [] };
    for (let frame = 0; frame < page.frames; frame++) {
      const one = codes[row * page.frames + frame], there = !Number.isNaN(one);
      found.code.push(one);
      found.value.push(there ? values[next] * observed.step : NaN);
      found.departure.push(there ? departures[next] * observed.step : NaN);
      if (there) next++;
    }
    return found;
  });
})();

/** What became of an observation, of three kinds: used, withheld, or not used. */
const use = (code) => (code === 0 ? "used" : code === 1 ? "withheld" : "not used");
const USES = ["used", "withheld", "not used"];
