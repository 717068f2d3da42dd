// The map of stations: departures or codes in colour; a station's name on hover, its numbers and series on a click.
"use strict";
(() => {
  const root = document.currentScript.closest("[data-stations]");
  const numbers = JSON.parse(root.querySelector("[data-numbers]").textContent);
  const find = (name) => root.querySelector(`[data-${name}]`);
  const chosen = (name) => root.querySelector(`[data-choose=${name}]`).value;
  const [map, marks, key, details] = ["map", "marks", "key", "details"].map(find);
  const [, , width, height] = map.getAttribute("viewBox").split(" ").map(Number);
  let shown = []; // the stations on the map, the one that departs most first
  let current = -1;

  // An SVG element with attributes and children.
  function svg(name, attributes, ...children) {
    const made = document.createElementNS(map.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // An HTML element with a text or children.
  function html(name, ...children) {
    const made = document.createElement(name);
    made.append(...children);
    return made;
  }

  const text = (value) => (value === null ? "–" : String(+value.toPrecision(3)).replace("-", "−"));

  // Least and greatest value of a scale: 98 of 100 stations are within it.
  function limits(kind) {
    const values = shown.map((one) => one[kind]).filter((value) => value !== null);
    const sizes = values.map(Math.abs).sort((a, b) => a - b);
    const most = sizes[Math.floor(0.98 * (sizes.length - 1))] || 1;
    return kind === "bias" ? [-most, most] : [0, most];
  }

  // The colour of a value on a scale, between the two nearest of its stops.
  function between(stops, share) {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const [low, high] = [stops[Math.floor(at)], stops[Math.ceil(at)]];
    const part = (colour, k) => parseInt(colour.slice(1 + 2 * k, 3 + 2 * k), 16);
    const mixed = [0, 1, 2].map((k) => Math.round(part(low, k) + (at % 1) * (part(high, k) - part(low, k))));
    return `rgb(${mixed.join(" ")})`;
  }

  function colourOf(one, kind, [low, high]) {
    if (kind === "code") return numbers.uses[one.main];
    if (one[kind] === null) return "none";
    const stops = numbers.colours[kind === "bias" ? "difference" : "amount"];
    return between(stops, (one[kind] - low) / (high - low));
  }

  // Draw the stations of the chosen network and channel, those that depart most on top.
  function draw() {
    const kind = chosen("colour");
    shown = numbers.stations.filter((one) => one.network === chosen("network") && one.channel === chosen("channel"));
    current = -1;
    const range = limits(kind);
    const size = width / (shown.length > 80 ? 130 : 80);
    marks.replaceChildren(...shown.map((one, number) => mark(one, number, size, colourOf(one, kind, range))).reverse());
    key.replaceChildren(...legend(kind, range));
  }

  // Circles are used stations, squares those that are not.
  function mark(one, number, size, colour) {
    const circle = { cx: one.x, cy: one.y, r: size };
    const square = { x: one.x - size, y: one.y - size, width: 2 * size, height: 2 * size };
    const made = one.use === "used" ? svg("circle", circle) : svg("rect", square);
    made.setAttribute("fill", colour);
    made.dataset.number = number;
    made.append(svg("title", {}, `${one.station}: RMSE ${text(one.rmse)}, mean departure ${text(one.bias)}`));
    return made;
  }

  function legend(kind, [low, high]) {
    if (kind === "code") {
      const used = Object.keys(numbers.uses).filter((use) => shown.some((one) => one.main === use));
      return used.map((use) => {
        const patch = html("i");
        patch.style.background = numbers.uses[use];
        return html("span", patch, `${use} (${shown.filter((one) => one.main === use).length})`);
      });
    }
    const bar = html("b");
    const stops = numbers.colours[kind === "bias" ? "difference" : "amount"];
    bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const name = { rmse: "RMSE", bias: "mean departure", ratio: "RMSE / expected by spread and observation error" }[kind];
    const unit = kind === "ratio" ? "" : `, ${numbers.labels[chosen("channel")]}`;
    return [html("span", text(low), bar, `${text(high)} ${name}${unit}; circles: used, squares: withheld or not used`)];
  }

  // Show the numbers and the series of a station.
  function choose(number) {
    if (!shown.length) return;
    current = (number + shown.length) % shown.length;
    const one = shown[current];
    for (const made of marks.children) made.classList.toggle("chosen", +made.dataset.number === current);
    const uses = Object.entries(one.uses).map(([use, rows]) => `${rows.toLocaleString("en")} ${use}`);
    const label = numbers.labels[one.channel];
    const facts = [`${one.place}; ${one.platform}`, uses.join(", "), `mean departure ${text(one.bias)}, RMSE ` +
      `${text(one.rmse)}, RMSE / expected ${text(one.ratio)}`];
    details.replaceChildren(html("h3", `${one.station}, ${label}`), ...facts.map((fact) => html("p", fact)));
    details.append(one.series ? series(one) : html("p", "No series here."));
  }

  // Mean departure and RMSE over time, and twice the expected standard deviation on either side of zero.
  function series(one) {
    const [wide, high, left, right, top, low] = [440, 200, 44, 6, 8, 22];
    const most = Math.max(...one.series.flatMap(([, bias, rmse, expected]) => [Math.abs(bias), rmse, 2 * expected]));
    const count = Math.max(numbers.starts.length, 1);
    const across = (bin) => left + ((bin + 0.5) / count) * (wide - left - right);
    const down = (value) => top + ((most - value) / (2 * most)) * (high - top - low);
    const path = (values) => values.map(([bin, value], k) => `${k ? "L" : "M"}${across(bin)} ${down(value)}`).join("");
    const column = (k, factor = 1) => one.series.map((point) => [point[0], factor * point[k]]);
    const band = path([...column(3, 2), ...column(3, -2).reverse()]) + "Z";
    const chart = svg("svg", { viewBox: `0 0 ${wide} ${high}`, class: "series", role: "img" });
    chart.setAttribute("aria-label", `Departures of ${one.station} over time`);
    chart.append(svg("path", { d: band, class: "expected" }), svg("path", { d: path([[-0.5, 0], [count - 0.5, 0]]), class: "zero" }));
    chart.append(svg("path", { d: path(column(1)), class: "bias" }), svg("path", { d: path(column(2)), class: "rmse" }));
    for (const [bin, bias, , , rows] of one.series) {
      const told = `${numbers.starts[bin].replace("T", " ")} h: ${text(bias)}, ${rows} observations`;
      chart.append(svg("circle", { cx: across(bin), cy: down(bias), r: 2.5, class: "point" }, svg("title", {}, told)));
    }
    for (const value of [-most, 0, most]) chart.append(svg("text", { x: left - 5, y: down(value) + 4, "text-anchor": "end" }, text(value)));
    for (const [bin, anchor] of [[0, "start"], [count - 1, "end"]])
      chart.append(svg("text", { x: across(bin), y: high - 5, "text-anchor": anchor }, numbers.starts[bin].slice(0, 10)));
    const words = "Dots: mean of observation minus analysis; dashed: RMSE; grey: two standard deviations " +
      "of a single departure, as expected from spread and observation error.";
    return html("figure", chart, html("figcaption", words));
  }

  map.addEventListener("click", (event) => event.target.dataset.number && choose(+event.target.dataset.number));
  map.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(current < 0 ? (step > 0 ? 0 : -1) : current + step);
  });
  root.addEventListener("change", draw);
  draw();
})();
