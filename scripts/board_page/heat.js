// Recall per class as a table of coloured cells: a row per row of the table, a column per class.

const FEW_HEAT = 30; // rows shown at first
const TURN = 0.73; // from where a number is read better in the other of black and white, on both grounds of style.css

function drawHeat() {
  const split = byId("split").value;
  const metrics = classMetrics(split);
  const all = state.shown.filter((row) => metrics.some((metric) => row.metric(metric).value !== null));
  const rows = state.all ? all : all.slice(0, FEW_HEAT);
  byId("heat-note").textContent = heatNote(metrics, rows.length, all.length);
  if (!rows.length) return byId("heat-table").replaceChildren();
  const values = rows.map((row) => metrics.map((metric) => row.metric(metric).value));
  const known = values.flat().filter((value) => value !== null && value !== undefined);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const cells = (line, row) => line.map((value, i) => {
    const cell = make("td", { text: value === null || value === undefined ? ABSENT : (100 * value).toFixed(0), title: `${row.label}: ${className(metrics[i])} ${formatMetric(metrics[i], value)} ${formatInterval(metrics[i], row.metric(metrics[i]))}` });
    if (value === null || value === undefined) return cell;
    const warmth = high > low ? (value - low) / (high - low) : 1;
    cell.style.background = `color-mix(in oklab, var(--low-heat), var(--high-heat) ${Math.round(100 * warmth)}%)`;
    cell.classList.toggle("strong", warmth > TURN);
    return cell;
  });
  const head = make("tr", { children: [make("th", { scope: "col", kind: "name", text: "run" }), ...metrics.map((metric) => make("th", { scope: "col", children: [make("span", { text: className(metric) })] }))] });
  const body = rows.map((row, i) => {
    const swatch = make("i", { kind: "swatch", "aria-hidden": "true" });
    swatch.style.background = colourOf(row);
    return make("tr", { children: [make("th", { scope: "row", kind: "name", children: [swatch, make("span", { text: row.label })] }), ...cells(values[i], row)] });
  });
  return byId("heat-table").replaceChildren(make("thead", { children: [head] }), make("tbody", { children: body }));
}

function heatNote(metrics, shown, all) {
  if (!all) return "No metrics.json of these runs has the recall of single classes.";
  const classes = metrics.length >= data.limits.classes ? ` The ${data.limits.classes} classes that are recognised least.` : "";
  const rows = shown < all ? ` The first ${shown} of ${all} rows, in the order of the table.` : "";
  return `In percent; the stronger the colour, the higher. Groups of seeds show their mean.${classes}${rows}`;
}
