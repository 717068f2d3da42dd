// Colours, numbers and axes that the map and the series share.

const inks = new Map();

/** A colour of the style sheet; `inks` is cleared when light becomes dark. */
function ink(name) {
  if (!inks.has(name)) inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return inks.get(name);
}

/** 256 colours of a palette, as bytes of red, green and blue, between the colours that the page has. */
function palette(name) {
  const anchors = page.palettes[name].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const bytes = new Uint8ClampedArray(3 * 256);
  for (let shade = 0; shade < 256; shade++) {
    const at = (shade / 255) * (anchors.length - 1), low = Math.min(Math.floor(at), anchors.length - 2);
    for (let part = 0; part < 3; part++) {
      bytes[3 * shade + part] = anchors[low][part] + (at - low) * (anchors[low + 1][part] - anchors[low][part]);
    }
  }
  return bytes;
}

/** A value with as many decimals as its step has, and its unit. */
function number(value, channel, unit = true) {
  if (!Number.isFinite(value)) return "missing";
  const decimals = Math.max(0, -Math.floor(Math.log10(channel.step) + 1e-9));
  const text = value.toFixed(decimals).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
  return unit && channel.units ? `${text} ${channel.units}` : text;
}

/** Degrees with the letter of their side; the equator, Greenwich and the date line have none. */
const side = (degrees, letters) => `${+Math.abs(degrees).toFixed(1)}°${degrees % 180 ? letters[+(degrees < 0)] : ""}`;
const latitudeText = (degrees) => side(degrees, "NS");
const longitudeText = (degrees) => side(((((degrees + 180) % 360) + 360) % 360) - 180, "EW");
const placeText = (latitude, longitude) => `${latitudeText(latitude)}, ${longitudeText(longitude)}`;

/** Round numbers within a range, about `count` of them. */
function ticks(low, high, count, factors = [1, 2, 5, 10]) {
  const rough = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(rough));
  const step = factors.map((factor) => factor * power).find((one) => one >= rough * 0.999) ?? 10 * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push(n * step);
  return found;
}

/** Ticks of a map or a line, in degrees. */
const degrees = (low, high, count) => ticks(low, high, count, high - low > 30 ? [1, 1.5, 3, 6, 9, 10] : [1, 2, 5, 10]);

/** A tick's text, without needless digits. */
const tickText = (value) => String(+value.toPrecision(6)).replace("-", "−");

/** Give a canvas a size in CSS pixels, sharp on every screen, and return its context, empty. */
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const wide = Math.round(width * ratio), high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `12px system-ui, sans-serif`;
  context.lineWidth = 1;
  return context;
}

/** The mark of an observation: a circle if it is used, a square if it is withheld, else a triangle. */
function mark(context, x, y, size, kind) {
  context.beginPath();
  if (kind === "used") context.arc(x, y, size, 0, 2 * Math.PI);
  else if (kind === "withheld") context.rect(x - 0.9 * size, y - 0.9 * size, 1.8 * size, 1.8 * size);
  else {
    context.moveTo(x, y - 1.2 * size);
    context.lineTo(x + 1.1 * size, y + 0.8 * size);
    context.lineTo(x - 1.1 * size, y + 0.8 * size);
    context.closePath();
  }
  context.fillStyle = ink(kind.replace(" ", "-"));
  context.fill();
  context.strokeStyle = "#fff";
  context.lineWidth = 1;
  context.stroke();
}

/** The smallest and the largest of some numbers, a little widened; missing ones do not count. */
function span(...lists) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (!(low <= high)) return [0, 1];
  const margin = 0.04 * (high - low) || 0.5;
  return [low - margin, high + margin];
}
