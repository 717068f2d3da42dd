// What is chosen, the controls that choose it, and what is drawn when it changes.

const $ = (id) => document.getElementById(id);
const REACH = 14; // pixels around a station that belong to it
const PACE = 125; // milliseconds between frames that are played

const state = { channel: page.channels[0], kind: "mean", frame: 0, box: 0, place: null, station: null, playing: null };
const map = grid.line ? new Line($("map")) : new FieldMap($("map"));
const plot = new SeriesPlot($("series"));
let stations = []; // series of observations, as `observations` gives them

/** The series of observations that say something on the channel, its own before those that it is computed from. */
const relevant = () => stations.filter((one) => one.observed.of.includes(state.channel.name))
  .sort((a, b) => (b.observed.name === state.channel.name) - (a.observed.name === state.channel.name));

/** The palette of a kind, and the values of its ends, which are the same in all frames. */
async function scaleOf(channel, kind) {
  if (kind === "spread") return { palette: "spread", low: 0, high: channel.spread || 1 };
  if (kind !== "difference") return { palette: "field", low: channel.range[0], high: channel.range[1] };
  const [low, high] = span(await field(channel, kind)), most = Math.max(-low, high);
  return { palette: "difference", low: -most, high: most };
}

/** Marks of the stations at a frame; those without an observation there are not drawn. */
function marks(line) {
  if (!$("stations").checked) return [];
  const drawn = new Map();
  for (const one of relevant()) {
    const code = one.code[state.frame];
    if (Number.isNaN(code) || drawn.has(one.place) || (line && one.observed !== relevantChannel())) continue;
    drawn.set(one.place, { ...one, kind: use(code), size: stations.length > 400 ? 2.5 : 3.8, value: one.value[state.frame] });
  }
  return [...drawn.values()].sort((a, b) => USES.indexOf(a.kind) - USES.indexOf(b.kind));
}

const relevantChannel = () => page.observed.channels.find((one) => one.name === state.channel.name);

/** Only the newest of several drawings at once is finished. */
let newest = 0;
async function drawMap() {
  const mine = ++newest, { channel, kind, frame } = state;
  const frameOf = (values) => values.subarray(frame * grid.size, (frame + 1) * grid.size);
  if (grid.line) return drawLine(mine, frameOf);
  const [values, scale] = await Promise.all([field(channel, kind), scaleOf(channel, kind)]);
  if (mine !== newest) return;
  map.draw({ values: frameOf(values), scale, marks: marks(false), chosen: state.place });
  drawScale(scale);
  describe(frameOf(values));
}

async function drawLine(mine, frameOf) {
  const { channel, kind } = state, names = page.kinds.map(([name]) => name);
  const all = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await field(channel, name)])));
  const single = kind === "spread" || kind === "difference" ? await field(channel, kind) : null;
  const scale = await scaleOf(channel, kind);
  if (mine !== newest) return;
  const list = (values) => Array.from(frameOf(values));
  const curves = single ? [{ values: list(single), colour: ink("used") }]
    : curvesOf(Object.fromEntries(names.map((name) => [name, list(all[name])])));
  map.draw({ curves, range: span([scale.low, scale.high]), marks: single ? [] : marks(true), chosen: state.place });
  describe(frameOf(await field(channel, kind)));
}

/** The curves of mean with spread, member and reference. */
function curvesOf(series) {
  const curves = [{ values: series.mean, spread: series.spread, colour: ink("used") }];
  if (state.kind === "member") curves.push({ values: series.member, colour: ink("member"), width: 1 });
  if (series.reference) curves.push({ values: series.reference, colour: ink("ink"), width: 1 });
  return curves;
}

/** The bar of colours with its ticks. */
function drawScale(scale) {
  const canvas = $("scale"), width = Math.min(canvas.parentElement.clientWidth, 420), wide = width - 40;
  const context = prepare(canvas, width, 42), colours = palette(scale.palette);
  for (let x = 0; x < wide; x++) {
    const shade = Math.round((255 * x) / (wide - 1));
    context.fillStyle = `rgb(${colours.slice(3 * shade, 3 * shade + 3).join(" ")})`;
    context.fillRect(20 + x, 4, 1.5, 14);
  }
  context.fillStyle = ink("quiet");
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const value of ticks(scale.low, scale.high, wide / 85)) {
    context.fillText(tickText(value), 20 + ((value - scale.low) / (scale.high - scale.low)) * wide, 23);
  }
  $("unit").textContent = `${state.channel.long}${state.channel.units ? `, ${state.channel.units}` : ""}`;
}

/** Words for readers of the screen, and the count of marks. */
function describe(values) {
  const label = kinds().find((kind) => kind.name === state.kind).label;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const what = `${label} of ${state.channel.long}, ${timeText(state.frame)}`;
  $("map").setAttribute("aria-label", `${grid.line ? "Curve" : "Map"}: ${what}, from ${number(low, state.channel)} to ${number(high, state.channel)}`);
  $("time").textContent = timeText(state.frame);
  $("frame").setAttribute("aria-valuetext", timeText(state.frame));
  const counts = Object.fromEntries(USES.map((name) => [name, 0]));
  for (const one of relevant()) if (!Number.isNaN(one.code[state.frame])) counts[use(one.code[state.frame])]++;
  for (const name of USES) $(`count-${name.replace(" ", "-")}`).textContent = counts[name];
}

/** The series of the observations of the chosen station; of several, that of the channel itself. */
const stationSeries = () => relevant().find((one) => one.place === state.station);

let drawnSeries = null; // what the table has
async function drawSeries() {
  const { channel, place, frame } = state, series = await seriesOf(channel, place);
  if (channel !== state.channel || place !== state.place) return;
  const station = stationSeries(), own = station?.observed.name === channel.name;
  const curves = station && !own ? [{ values: station.value.map((value, at) => value - station.departure[at]), colour: ink("used") }]
    : curvesOf(series);
  const points = station ? station.code.flatMap((code, at) =>
    Number.isNaN(code) ? [] : [{ frame: at, value: station.value[at], kind: use(code) }]) : [];
  drawnSeries = { channel, series, station };
  plot.draw({ curves, points, window: shownFrames(), now: frame });
  $("series").setAttribute("aria-label", `Series: ${seriesText(series, station)}`);
  $("place").textContent = seriesText(series, station);
  $("key-mean").hidden = station && !own;
  $("key-reference").hidden = (station && !own) || !series.reference;
  $("at-station").hidden = !station;
  if (station && !own) $("at-station").textContent = `The line is the mean of the analysis as this station would measure it (${station.observed.name}).`;
  else if (station) $("at-station").textContent = "Curves are interpolated to the station.";
  $("series-unit").textContent = station ? [station.observed.name, station.observed.units].filter(Boolean).join(", ")
    : [channel.long, channel.units].filter(Boolean).join(", ");
}

/** The first and the last frame of the series that is drawn. */
function shownFrames() {
  const most = page.frames - 1, length = +$("span").value || most;
  const first = Math.max(0, Math.min(state.frame - Math.floor(length / 2), most - length));
  return [first, Math.min(most, first + length)];
}

/** What the series says at the time of the map. */
function seriesText(series, station) {
  const { channel, frame, place } = state, known = Object.fromEntries(page.kinds);
  const at = station ? `Station ${station.name}, ${placeText(station.latitude, station.longitude)}` : placeText(...place);
  let text = `${at}, ${timeText(frame)}: ${channel.name} ${number(series.mean[frame], channel, false)} ± ${number(series.spread[frame], channel)}`;
  if (series.reference) text += `, ${known.reference} ${number(series.reference[frame], channel)}`;
  if (station && !Number.isNaN(station.code[frame])) {
    const { observed } = station, code = station.code[frame];
    text += `; observed ${observed.name} ${number(station.value[frame], observed)}, ${number(station.departure[frame], observed)} from the mean there (${page.observed.reasons[code]})`;
  }
  return `${text}.`;
}

const draw = () => Promise.all([drawMap(), drawSeries()]);

function choose(latitude, longitude, station = null) {
  const box = grid.box(latitude, longitude);
  if (box < 0) return;
  Object.assign(state, { box, place: station === null ? grid.middle(box) : [latitude, longitude], station });
  $("station").value = station === null ? "" : station;
  draw();
}

function setFrame(frame) {
  state.frame = Math.min(Math.max(frame, 0), page.frames - 1);
  $("frame").value = state.frame;
  draw();
}

function play(on = !state.playing) {
  clearInterval(state.playing);
  state.playing = on ? setInterval(() => setFrame((state.frame + 1) % page.frames), PACE) : null;
  $("play").textContent = on ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", on);
}

/** The station whose mark is at a pixel. */
function stationAt(x, y) {
  let best = null, least = REACH;
  for (const one of marks(grid.line)) {
    const away = Math.hypot(map.x(grid.line ? one[grid.axis] : one.longitude) - x, map.y(grid.line ? one.value : one.latitude) - y);
    if (away < least) [best, least] = [one, away];
  }
  return best;
}

const within = (event) => {
  const edge = event.target.getBoundingClientRect();
  return [event.clientX - edge.left, event.clientY - edge.top];
};

async function hover(event) {
  const [x, y] = within(event), [latitude, longitude] = map.place(x, y), box = grid.box(latitude, longitude);
  const station = stationAt(x, y), { channel, kind, frame } = state;
  if (box < 0) return void ($("readout").textContent = "");
  const value = (await field(channel, kind))[frame * grid.size + box];
  const label = kinds().find((one) => one.name === kind).label;
  $("readout").textContent = `${placeText(latitude, longitude)}: ${label} ${number(value, channel)}`
    + (station ? `; ${station.name}: ${station.observed.name} ${number(station.value, station.observed)}, ${station.kind}` : "");
}

function resize() {
  const wide = $("stage").clientWidth;
  map.resize($("map").parentElement.clientWidth, Math.max(280, Math.min(innerHeight * 0.62, 620)));
  plot.resize($("series").parentElement.clientWidth, wide > 900 ? Math.min(map.height, 420) : 260);
  draw();
}

/** Shift and an arrow move the chosen place by a box; an arrow alone moves the time. */
function key(event) {
  if (event.target.matches("select, input[type=range], textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [-1, 0], ArrowUp: [1, 0] }[event.key];
  if (steps && event.shiftKey) {
    const row = Math.floor(state.box / grid.columns) + steps[0], column = (state.box % grid.columns) + steps[1];
    const turned = page.periodic ? (column + grid.columns) % grid.columns : column;
    if (row >= 0 && row < grid.rows && turned >= 0 && turned < grid.columns) choose(grid.latitude(row), grid.longitude(turned));
  } else if (steps && steps[1]) setFrame(state.frame + steps[1]);
  else if (event.key === "Home" || event.key === "End") setFrame(event.key === "Home" ? 0 : page.frames - 1);
  else if (event.key === " " && !event.target.matches("button, input, summary, a")) play();
  else return;
  event.preventDefault();
}

const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });

function listChoices() {
  page.channels.forEach((one, at) => $("channel").append(option(at, one.long === one.name ? one.name : `${one.name}, ${one.long}`)));
  kinds().forEach((one) => $("kind").append(option(one.name, one.label)));
  const hours = page.frames * page.hours;
  for (const days of [10, 30, 90, 365]) if (24 * days < hours) $("span").append(option(Math.round((24 * days) / page.hours), `${days} days`));
  page.observed.places.forEach(([name, north, east], at) => $("station").append(option(at, `${name} (${placeText(north, east)})`)));
  $("frame").max = page.frames - 1;
  for (const id of ["scale", "unit"]) $(id).hidden = grid.line;
  $("of-stations").hidden = !page.observed.places.length;
  $("key-reference").textContent = Object.fromEntries(page.kinds).reference ?? "";
}

function listen() {
  $("channel").onchange = (event) => { state.channel = page.channels[event.target.value]; draw(); };
  $("kind").onchange = (event) => { state.kind = event.target.value; draw(); };
  $("frame").oninput = (event) => setFrame(+event.target.value);
  $("play").onclick = () => play();
  $("span").onchange = draw;
  $("stations").onchange = draw;
  $("station").onchange = (event) => {
    if (event.target.value === "") return choose(...grid.middle(state.box));
    const [, latitude, longitude] = page.observed.places[event.target.value];
    choose(latitude, longitude, +event.target.value);
  };
  $("map").onclick = (event) => {
    const station = stationAt(...within(event));
    if (station) choose(station.latitude, station.longitude, station.place);
    else choose(...map.place(...within(event)));
  };
  $("map").onpointermove = hover;
  $("map").onpointerleave = () => { $("readout").textContent = ""; };
  $("series").onclick = (event) => setFrame(plot.frame(within(event)[0]));
  $("table").onclick = () => {
    const { channel, series, station } = drawnSeries;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table(channel, series, station)], { type: "text/csv" }));
    link.download = `${channel.name}-series.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  addEventListener("keydown", key);
  addEventListener("resize", resize);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { inks.clear(); draw(); });
}

async function start() {
  if (!("DecompressionStream" in window)) {
    $("old").hidden = false;
    return;
  }
  listChoices();
  listen();
  stations = await observations;
  const middle = grid.box((extent.south + extent.north) / 2, (extent.west + extent.east) / 2);
  Object.assign(state, { box: middle, place: grid.middle(middle) });
  resize();
  document.documentElement.dataset.ready = "true";
}

start();
