// The rows: groups of runs that differ only in seeds, or single runs; which are shown, and in which order.

const data = JSON.parse(byId("data").textContent);
const MAIN = ["val.accuracy", "val.worst_recall", "test.accuracy", "test.worst_recall"];
const RECALL = ".recall.";
const state = { grouped: true, filter: "", key: "", down: true, everyParam: false, everyMetric: false, all: false, open: new Set(), a: "", b: "" };

const metricAt = new Map(data.metrics.map((name, i) => [name, i]));
const summaryMetrics = data.metrics.filter((name) => !name.includes(RECALL));
const classMetrics = (split) => data.metrics.filter((name) => name.startsWith(split + RECALL));
const className = (metric) => metric.slice(metric.indexOf(RECALL) + RECALL.length);

/** How many images a metric of a run is about, if it is a share of images; 0 where nobody knows. */
function imagesOf(metric, run) {
  const dataset = data.counts.datasets[data.counts.of[run]];
  const [split, name] = [metric.split(".")[0], metric.slice(metric.indexOf(".") + 1)];
  const counted = dataset?.[split];
  if (!counted) return 0;
  if (name === "accuracy") return counted.all;
  if (metric.includes(RECALL)) return counted.classes[className(metric)] ?? 0;
  if (name !== "worst_recall") return 0;
  const value = data.runs[run].metrics[metricAt.get(metric)];
  const worst = classMetrics(split).find((each) => data.runs[run].metrics[metricAt.get(each)] === value);
  return worst ? imagesOf(worst, run) : 0;
}

function makeRow(id, name, runs, group) {
  const cache = new Map();
  const row = { id, name, runs, group, run: data.runs[runs[0]] };
  row.label = runs.length > 1 ? `${name} and ${count(runs.length - 1, "other seed")}` : name;
  row.time = Math.max(...runs.map((i) => data.runs[i].time));
  row.text = runs.flatMap((i) => [data.runs[i].name, ...data.runs[i].names, data.runs[i].commit, data.runs[i].message]);
  row.text = [...row.text, ...row.run.params.map((value, i) => `${data.params[i]}=${formatValue(value)}`)].join("\n").toLowerCase();
  /** A metric of the row: over seeds mean and interval or range, of one run its value and Wilson's interval. */
  row.metric = (metric) => {
    if (!cache.has(metric)) cache.set(metric, estimateMetric(row, metric));
    return cache.get(metric);
  };
  row.param = (param) => (data.params.includes(param) ? row.run.params[data.params.indexOf(param)] : data.common[param]);
  return row;
}

function estimateMetric(row, metric) {
  const i = metricAt.get(metric);
  if (row.runs.length > 1) {
    const [value, low, high] = data.groups[row.group].estimates[i] ?? [null, null, null];
    return { value, low, high, kind: row.runs.length > 2 ? "seeds" : "range" };
  }
  const value = row.run.metrics[i];
  const images = imagesOf(metric, row.runs[0]);
  if (value === null || !images) return { value, low: null, high: null, kind: "one" };
  const [low, high] = wilson(value, images);
  return { value, low, high, kind: "one" };
}

const groupRows = data.groups.map((group, i) => makeRow(`g${i}`, data.runs[group.runs[0]].name, group.runs, i));
const groupOf = new Map(data.groups.flatMap((group, i) => group.runs.map((run) => [run, i])));
const alone = (i) => data.groups[groupOf.get(i)]?.runs.length === 1; // a run that is a group is one row in both views
const runRows = data.runs.map((run, i) => (alone(i) ? groupRows[groupOf.get(i)] : makeRow(`r${i}`, run.name, [i], groupOf.get(i))));
const uncounted = runRows.filter((row) => row.group === undefined);
const rowById = new Map([...groupRows, ...runRows].map((row) => [row.id, row]));

/** The rows of single runs below that of an opened group. */
const members = (row) => (row.runs.length > 1 ? row.runs.map((i) => runRows[i]) : []);

/** What a row is sorted by: a number or a text; absent is last. */
function sortValue(row, key) {
  if (metricAt.has(key)) return row.metric(key).value;
  if (key === "name") return row.name.toLowerCase();
  if (key === "time") return row.time;
  if (key === "seeds") return row.runs.length;
  if (key === "changes") return row.run.changed.length;
  return row.param(key);
}

function compareValues(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

const OPERATORS = { "=": (a, b) => a === b, "!=": (a, b) => a !== b, "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b };

/** Whether a row fits a word of the filter: a part of a name or message, or a condition such as lr>=0.1. */
function fits(row, word) {
  const [, name, operator, wanted] = word.match(/^([^<>=!]+)(<=|>=|!=|=|<|>)(.+)$/) ?? [];
  const ends = (each) => each.toLowerCase() === name || each.toLowerCase().endsWith(`.${name}`);
  const known = name ? [...data.params, ...Object.keys(data.common), ...data.metrics].filter(ends) : [];
  if (!known.length) return row.text.includes(word);
  return known.some((key) => {
    const value = sortValue(row, key);
    if (value === null || value === undefined) return false;
    const number = Number(wanted);
    return typeof value === "number" && !Number.isNaN(number) ? OPERATORS[operator](value, number) : OPERATORS[operator](String(value).toLowerCase(), wanted);
  });
}

/** The rows that pass the filter, sorted; without a choice, HEAD's first and then the newest first, as they come. */
function visibleRows() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const candidates = state.grouped ? [...groupRows, ...uncounted] : runRows;
  const rows = candidates.filter((row) => words.every((word) => fits(row, word)));
  if (!state.key) return rows;
  const absent = (value) => value === null || value === undefined;
  const keyed = rows.map((row) => ({ row, value: sortValue(row, state.key) }));
  keyed.sort((x, y) => {
    if (absent(x.value) || absent(y.value)) return absent(x.value) - absent(y.value);
    return compareValues(x.value, y.value) * (state.down ? -1 : 1);
  });
  return keyed.map(({ row }) => row);
}

/** The parameters in the table: those in which any runs differ, or all. */
const shownParams = () => [...data.params, ...(state.everyParam ? Object.keys(data.common) : [])];
const shownMetrics = () => (state.everyMetric ? summaryMetrics : MAIN.filter((name) => metricAt.has(name)));

/** Where the best value of a metric is: up, down, or unknown. */
function direction(metric) {
  return metric.split(".").map((part) => data.better[part]).find((sign) => sign) ?? 0;
}
