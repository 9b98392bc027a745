// Lines of all rows that are shown: curves over epochs, and parallel coordinates through parameters to a metric.

const MANY = 8; // rows that can have a colour each; of more, only A and B have one
const AXES = 7; // of parallel coordinates, before that of the metric
const NARROW = matchMedia("(max-width: 46rem)");
const TICKS = 12; // values of an axis that are written beside it
const CHARTS = { val_accuracy: "validation accuracy", val_loss: "validation loss", train_accuracy: "training accuracy", train_loss: "training loss" };

/** The colour of a row in all charts: that of A or B, one of its own among few rows, or none. */
function colourOf(row) {
  if (row.id === state.a) return "var(--a)";
  if (row.id === state.b) return "var(--b)";
  const top = state.shown.findIndex((each) => each.id === row.id || each.runs.includes(row.runs[0]));
  return state.shown.length <= MANY && top >= 0 ? `var(--line${top})` : "var(--faint)";
}

const isChosen = (row) => row.id === state.a || row.id === state.b;

/** Lines [{row, points, colour}], A and B on top, that say which they are where one points at them, and become B by a click. */
function drawLines(svg, lines, note) {
  const order = [...lines].sort((x, y) => isChosen(x.row) - isChosen(y.row));
  const paths = order.map(({ row, points, colour }) => {
    const path = draw("path", { d: points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join(""), class: isChosen(row) ? "line chosen" : "line" });
    path.style.stroke = colour;
    return path;
  });
  const pointed = draw("path", { class: "line pointed" });
  svg.append(...paths, pointed);
  const find = (event) => {
    const box = svg.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width, ((event.clientY - box.top) / box.height) * svg.viewBox.baseVal.height];
    let [nearest, least] = [-1, 12];
    order.forEach(({ points }, i) => {
      const far = distance(points, x, y);
      if (far <= least) [nearest, least] = [i, far];
    });
    return nearest;
  };
  svg.addEventListener("pointermove", (event) => {
    const i = find(event);
    pointed.setAttribute("d", i < 0 ? "" : paths[i].getAttribute("d"));
    note.textContent = i < 0 ? note.dataset.idle : order[i].row.label;
  });
  svg.addEventListener("pointerleave", () => {
    pointed.setAttribute("d", "");
    note.textContent = note.dataset.idle;
  });
  svg.addEventListener("click", (event) => {
    const i = find(event);
    if (i >= 0) choose("b", order[i].row.id);
  });
}

/** How far a line is above or below a point, in units of the drawing. */
function distance(points, x, y) {
  const i = points.findIndex(([each]) => each >= x);
  if (i < 0 || (i === 0 && points[0][0] > x + 6)) return Infinity;
  const [[x0, y0], [x1, y1]] = [points[Math.max(0, i - 1)], points[i]];
  return Math.abs(y - (x1 === x0 ? y1 : y0 + ((y1 - y0) * (x - x0)) / (x1 - x0)));
}

/** Round numbers that cut a range into about four, six at most. */
function niceTicks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= 0.7 * rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

function drawCurve(name, title) {
  const [width, height] = NARROW.matches ? [350, 210] : [600, 270]; // so that text keeps its size
  const [left, bottom, top] = [46, 26, 8];
  const lines = state.shown.flatMap((row) => row.runs.map((run) => ({ row, curve: data.curves[run] })).filter(({ curve }) => curve[name]));
  if (!lines.length) return null;
  const last = Math.max(2, ...lines.flatMap(({ curve }) => curve.epoch));
  const first = Math.min(1, ...lines.flatMap(({ curve }) => curve.epoch));
  const values = lines.flatMap(({ curve }) => curve[name].filter((value) => value !== null)).sort((x, y) => x - y);
  const [low, high] = [values[Math.floor(values.length * 0.02)], values.at(-1)]; // a first epoch that is far off is cut
  const [down, up] = name.endsWith("loss") ? [values[0], values[Math.floor(values.length * 0.98)]] : [low, high];
  const scaleX = (epoch) => left + ((epoch - first) / (last - first)) * (width - left - 8);
  const scaleY = (value) => Math.min(height - bottom, Math.max(top, height - bottom - ((value - down) / (up - down || 1)) * (height - bottom - top)));
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title} per epoch of ${count(lines.length, "run")}` });
  for (const tick of niceTicks(down, up)) {
    const y = scaleY(tick);
    svg.append(draw("line", { x1: left, x2: width - 8, y1: y, y2: y, class: "grid" }), draw("text", { x: left - 6, y: y + 4, class: "end" }, isShare(name) ? `${Math.round(1000 * tick) / 10} %` : String(tick)));
  }
  for (const tick of niceTicks(first, last).filter(Number.isInteger)) svg.append(draw("text", { x: scaleX(tick), y: height - 8, class: "middle" }, String(tick)));
  const note = make("p", { kind: "note" });
  note.dataset.idle = note.textContent = "epoch";
  drawLines(svg, lines.map(({ row, curve }) => ({ row, colour: colourOf(row), points: curve.epoch.map((epoch, i) => [scaleX(epoch), curve[name][i]]).filter(([, value]) => value !== null).map(([x, value]) => [x, scaleY(value)]) })), note);
  return make("figure", { children: [make("figcaption", { text: title }), svg, note] });
}

/** Positions from 0 to 1 of the values of an axis, and which of them are written beside it. */
function makeAxis(values) {
  const known = [...new Set(values.map((value) => value ?? null))];
  const numbers = known.every((value) => typeof value === "number");
  if (!numbers || known.length <= 6) {
    const sorted = known.sort((x, y) => (x === null ? -1 : y === null ? 1 : compareValues(x, y)));
    const place = (value) => (sorted.length < 2 ? 0.5 : sorted.indexOf(value ?? null) / (sorted.length - 1));
    const every = Math.ceil(sorted.length / TICKS);
    return { place, ticks: sorted.filter((_, i) => i % every === 0).map((value) => [place(value), formatValue(value)]) };
  }
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const bend = low > 0 && high / low >= 20 ? Math.log : (value) => value;
  const place = (value) => (bend(value) - bend(low)) / (bend(high) - bend(low));
  const ticks = bend === Math.log ? [low, Math.sqrt(low * high), high] : niceTicks(low, high);
  return { place, ticks: ticks.map((value) => [place(value), String(Number(value.toPrecision(3)))]) };
}

function drawParallel() {
  const metric = byId("target").value;
  const rows = state.shown.filter((row) => row.metric(metric).value !== null && row.metric(metric).value !== undefined);
  const varied = data.params.filter((name) => new Set(rows.map((row) => row.param(name))).size > 1);
  const names = varied.slice(0, AXES);
  if (rows.length < 2 || !names.length) return [make("p", { text: "Parallel coordinates need two rows or more that differ in a parameter." })];
  const [height, left, right, top, bottom] = [300, 70, 90, 34, 16];
  const room = byId("parallel-chart").clientWidth - left - right;
  const step = Math.min(320, Math.max(150, Math.floor(room / names.length)));
  const width = left + step * names.length + right;
  const values = rows.map((row) => row.metric(metric).value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const share = (value) => (high > low ? (value - low) / (high - low) : 0.5);
  const last = { place: share, ticks: niceTicks(low, high).map((tick) => [share(tick), isShare(metric) ? `${Number((100 * tick).toFixed(2))} %` : String(tick)]) };
  const axes = [...names.map((name) => makeAxis(rows.map((row) => row.param(name)))), last];
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${count(rows.length, "row")} as lines through ${names.join(", ")} to ${metric}` });
  svg.style.width = `${width}px`;
  const y = (place) => height - bottom - place * (height - top - bottom);
  const note = make("p", { kind: "note" });
  note.dataset.idle = note.textContent = "Point at a line to see which it is; a click makes it B.";
  const lines = rows.map((row, i) => ({ row, colour: isChosen(row) ? colourOf(row) : `color-mix(in oklab, var(--low), var(--high) ${Math.round(100 * share(values[i]))}%)`, points: axes.map((axis, j) => [left + j * step, y(axis.place(j < names.length ? row.param(names[j]) : values[i]))]) }));
  drawLines(svg, lines, note);
  axes.forEach((axis, j) => {
    const x = left + j * step;
    svg.append(draw("line", { x1: x, x2: x, y1: top, y2: height - bottom, class: "axis" }));
    const title = (names[j] ?? metric).replace(/^(train|prepare|evaluate)\./, "");
    svg.append(draw("text", { x, y: 16, class: "middle title" }, title.length > 22 ? `…${title.slice(-21)}` : title));
    for (const [place, label] of axis.ticks) svg.append(draw("text", { x: x + 7, y: y(place) + 4, class: "tick" }, label.length > 16 ? `${label.slice(0, 15)}…` : label));
  });
  const leftOut = varied.length > AXES ? ` The first ${AXES} of ${varied.length} parameters that differ; a filter leaves fewer.` : "";
  note.dataset.idle = note.textContent += leftOut;
  return [make("div", { kind: "scroll", tabIndex: 0, role: "region", "aria-label": "Parallel coordinates", children: [svg] }), note];
}

/** Which colour is which row: of many, A and B; the others are grey. */
function drawLegend() {
  const [a, b] = [rowById.get(state.a), rowById.get(state.b)];
  const rows = state.shown.length <= MANY ? [...new Set([...state.shown, a, b])] : [a, b];
  return [...new Set(rows)].map((row) => {
    const swatch = make("i", { kind: "swatch" });
    swatch.style.background = colourOf(row);
    const side = row === a ? "A " : row === b ? "B " : "";
    return make("li", { children: [swatch, make("b", { text: side }), row.label] });
  });
}

function drawCharts() {
  document.body.classList.toggle("crowded", state.shown.length > MANY);
  const curves = Object.entries(CHARTS).map((entry) => drawCurve(...entry)).filter(Boolean);
  byId("curves-charts").replaceChildren(...(curves.length ? curves : [make("p", { text: "No plots/history.csv of these runs is in DVC's cache: `dvc pull` or `dvc fetch` brings those that a remote holds." })]));
  const missing = state.shown.flatMap((row) => row.runs).filter((run) => !data.curves[run].epoch).length;
  byId("curves-note").textContent = curves.length && missing ? `The curves of ${count(missing, "run")} are not in DVC's cache.` : "";
  byId("curves-legend").replaceChildren(...drawLegend());
  byId("parallel-chart").replaceChildren(...drawParallel());
}
