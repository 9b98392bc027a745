// The table of all runs: sorted by its heads, opened group by group, with a choice of the two to compare.

const NAMES = 8; // of a row, beneath it: of more, the first
const FEW_ROWS = 50; // shown at first: of more, a button shows all

/** The columns: a key to sort by, a heading, whether small values come first at the first click, and a cell. */
function columns() {
  const text = (kind, value) => make("td", { kind, text: value });
  const fixed = [
    { key: "seeds", title: "runs", cell: (row) => cellOfSeeds(row) },
    { key: "time", title: "date", cell: (row) => text("when", formatTime(row.time)) },
  ];
  const params = shownParams().map((name) => ({ key: name, title: name, rising: true, kind: "param", cell: (row) => cellOfParam(row, name) }));
  const metrics = shownMetrics().map((name) => ({ key: name, title: name, rising: direction(name) < 0, kind: "metric", cell: (row) => cellOfMetric(row, name) }));
  const changes = { key: "changes", title: "data, code", rising: true, cell: (row) => cellOfChanges(row) };
  const differ = data.runs.some((run) => run.changed.length);
  return [...metrics, ...params, ...(differ ? [changes] : []), ...fixed];
}

function cellOfSeeds(row) {
  if (row.runs.length === 1) return make("td", { text: row.run.seed || ABSENT });
  const open = state.open.has(row.id);
  const button = make("button", { type: "button", kind: "open", text: `${open ? "▾" : "▸"} ${row.runs.length} seeds`, "aria-expanded": String(open), "aria-label": `${row.runs.length} seeds of ${row.name}` });
  button.addEventListener("click", () => {
    if (!state.open.delete(row.id)) state.open.add(row.id);
    drawTable();
    document.querySelector(`#table tr[data-row="${row.id}"] .open`).focus();
  });
  return make("td", { children: [button] });
}

function cellOfMetric(row, name) {
  const found = row.metric(name);
  const interval = formatInterval(name, found);
  const cell = make("td", { kind: "number", text: formatMetric(name, found.value) });
  if (interval) cell.append(make("small", { text: interval }));
  return cell;
}

function cellOfParam(row, name) {
  const value = row.param(name);
  return make("td", { kind: typeof value === "number" ? "number" : "", text: formatValue(value) });
}

function cellOfChanges(row) {
  const changed = row.run.changed;
  if (!changed.length) return make("td", { text: "as the first" });
  const text = changed.length > 2 ? count(changed.length, "file") : changed.join(", ");
  return make("td", { text: changed.length > 2 && changed.includes("data") ? `data and ${text}` : text, title: changed.join("\n") });
}

function headOf({ key, title, rising = false, kind = "" }) {
  const sorted = state.key === key;
  const button = make("button", { type: "button", text: breakable(title) });
  button.addEventListener("click", () => {
    [state.key, state.down] = [key, sorted ? !state.down : !rising];
    refresh();
    [...document.querySelectorAll("#table th button")].find((each) => each.dataset.key === key).focus();
  });
  button.dataset.key = key;
  if (sorted) button.append(make("span", { text: state.down ? " ↓" : " ↑", "aria-hidden": "true" }));
  return make("th", { kind, scope: "col", children: [button], "aria-sort": sorted ? (state.down ? "descending" : "ascending") : "none" });
}

function radioOf(side, row) {
  const input = make("input", { type: "radio", name: side, value: row.id, checked: state[side] === row.id, "aria-label": `${row.label} as ${side.toUpperCase()}` });
  input.addEventListener("change", () => choose(side, row.id));
  return make("td", { kind: `pick ${side}`, children: [input] });
}

/** A row's name, beneath it its other names and those of its seeds, but for names of experiments, and what was written with its commit. */
function nameOf(row, inner) {
  const cell = make("th", { kind: inner ? "name inner" : "name", scope: "row" });
  const swatch = make("i", { kind: "swatch", "aria-hidden": "true" });
  swatch.style.background = colourOf(row);
  cell.append(swatch, make("span", { text: row.name }));
  const others = row.runs.filter((run, i) => !i || !data.runs[run].experiment).flatMap((run) => data.runs[run].names).filter((name) => name !== row.name);
  if (row.run.commit && row.run.commit !== row.name) others.unshift(row.run.commit);
  const listed = others.length > NAMES ? `${others.slice(0, NAMES).join(", ")} …` : others.join(", ");
  if (listed) cell.append(make("small", { text: listed, title: others.join(", ") }));
  if (row.run.message) cell.append(make("small", { kind: "message", text: row.run.message, title: row.run.message }));
  if (row.run.note && row.runs.length === 1) cell.append(make("small", { kind: "caution", text: row.run.note }));
  return cell;
}

function lineOf(row, shown, inner = false) {
  const cells = shown.map(({ cell }) => cell(row));
  const line = make("tr", { kind: inner ? "inner" : "", children: [radioOf("a", row), radioOf("b", row), nameOf(row, inner), ...cells] });
  line.dataset.row = row.id;
  return line;
}

function drawTable() {
  const [rows, shown] = [visibleRows(), columns()];
  const fixed = ["A", "B"].map((side) => make("th", { kind: `pick ${side.toLowerCase()}`, scope: "col", text: side, title: `compare as ${side}` }));
  const head = make("tr", { children: [...fixed, headOf({ key: "name", title: "run", rising: true, kind: "name" }), ...shown.map(headOf)] });
  const lines = (state.all ? rows : rows.slice(0, FEW_ROWS)).flatMap((row) => [
    lineOf(row, shown),
    ...(state.open.has(row.id) ? members(row).map((member) => lineOf(member, shown, true)) : []),
  ]);
  byId("table").replaceChildren(make("thead", { children: [head] }), make("tbody", { children: lines }));
  byId("more").hidden = state.all || rows.length <= FEW_ROWS;
  byId("more").textContent = `Show all ${rows.length} rows`;
  const runs = new Set(rows.flatMap((row) => row.runs)).size;
  byId("shown").textContent = rows.length ? `${count(rows.length, "row")}, ${count(runs, "run")} of ${data.runs.length}` : "Nothing fits this filter.";
}

/** Give a side of the comparison to a row; everything that shows the pair is drawn again. */
function choose(side, id) {
  state[side] = id;
  for (const input of document.querySelectorAll(`#table input[name=${side}]`)) input.checked = input.value === id;
  for (const row of document.querySelectorAll("#table tr[data-row]")) {
    row.querySelector(".swatch").style.background = colourOf(rowById.get(row.dataset.row));
  }
  drawCharts();
  drawHeat();
  drawPair();
}
