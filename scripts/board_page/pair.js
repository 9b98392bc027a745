// Two rows side by side: what differs, by how much, whether it is more than chance, and the images whose answer changed.

const FEW_IMAGES = 40; // shown at first
const FIRST = 35; // the character of the first class
let answers = null; // unpacked when the page opens

const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const seedOf = (run) => data.runs[run].seed;

/** All metrics that both rows have, compared as compare.py does it. */
function compareRows(a, b) {
  const [method, shared] = chooseMethod(a.runs.map(seedOf), b.runs.map(seedOf));
  const sample = (row, i) => new Map(row.runs.map((run) => [seedOf(run), data.runs[run].metrics[i]]));
  const complete = (values) => [...values.values()].every((value) => value !== null);
  const compared = new Map();
  data.metrics.forEach((metric, i) => {
    const [reference, other] = [sample(a, i), sample(b, i)];
    if (complete(reference) && complete(other)) compared.set(metric, compareMetric(reference, other, method, shared, data.limits.spread));
  });
  const tested = [...compared.values()].filter(({ p }) => p !== null);
  const adjusted = falseDiscovery(tested.map(({ p }) => p));
  for (const found of compared.values()) found.verdict = method === "one run" ? "" : "equal for each seed: no interval";
  tested.forEach((found, i) => {
    found.verdict = adjusted[i] <= data.limits.alpha ? (found.difference > 0 ? "higher" : "lower") : data.words.undecided;
  });
  return { method, pairs: shared.length, compared };
}

/** The two runs whose answers are shown: with the same seed, if both rows have one. */
function runsToShow(a, b) {
  const twins = a.runs.map((run) => [run, b.runs.find((other) => seedOf(other) === seedOf(run))]);
  return twins.find(([, other]) => other !== undefined) ?? [a.runs[0], b.runs[0]];
}

/** The answers of two runs image by image, or a sentence why they cannot be compared. */
function compareAnswers(a, b) {
  const found = [answers.of[a], answers.of[b]];
  const names = [data.runs[a].name, data.runs[b].name];
  const missing = found.find((each) => typeof each === "string");
  if (missing !== undefined) return { error: missing };
  const kinds = [a, b].map((run) => data.words.image[data.runs[run].split]);
  if (found[0][0] !== found[1][0]) return { error: `The predictions of ${names[0]} and ${names[1]} are for different ${kinds[0] === kinds[1] ? "" : "splits, or "}${kinds[0]}s.` };
  const set = answers.sets[found[0][0]];
  const changed = [...set.labels].map((_, i) => i).filter((i) => found[0][1][i] !== found[1][1][i]);
  const right = (side, i) => found[side][1][i] === set.labels[i];
  const nameAt = (text, i) => set.classes[text.charCodeAt(i) - FIRST];
  const images = changed.map((i) => ({
    label: nameAt(set.labels, i), a: nameAt(found[0][1], i), b: nameAt(found[1][1], i), path: set.paths[i], picture: set.thumbnails[i],
    kind: right(1, i) ? "gained" : right(0, i) ? "lost" : "other",
  }));
  const number = (kind) => images.filter((image) => image.kind === kind).length;
  const [only_reference, only_other] = [number("lost"), number("gained")];
  return { images, set, kind: kinds[0], only_reference, only_other, p: mcnemar(only_reference, only_other) };
}

/** What compare.py says of two single runs. */
function describeAnswers(found, reference, other) {
  if (found.error) return `No test on single predictions: ${found.error}`;
  const key = found.p > data.limits.alpha ? data.words.undecided : found.only_other > found.only_reference ? "higher" : "lower";
  const verdict = fill(data.words.outcomes[key] ?? key, { other });
  const values = { ...found, images: found.set.images, reference, other, p: formatG(found.p), verdict: verdict[0].toUpperCase() + verdict.slice(1) };
  return fill(data.words.paired, values);
}

function table(head, rows, kinds = []) {
  const line = (cells, tag) => make("tr", { children: cells.map((cell, i) => make(i ? tag : "th", { text: i || tag === "th" ? String(cell) : breakable(cell), kind: kinds[i] ?? "", scope: i ? "col" : "row" })) });
  const body = rows.map((cells) => line(cells, "td"));
  for (const cell of body.flatMap((row) => [...row.querySelectorAll("td")])) cell.removeAttribute("scope");
  return make("div", { kind: "scroll", tabIndex: 0, role: "region", "aria-label": head[0], children: [make("table", { children: [make("thead", { children: [line(head, "th")] }), make("tbody", { children: body })] })] });
}

function judge(metric, verdict) {
  const sign = direction(metric) * { higher: 1, lower: -1 }[verdict];
  return verdict + (sign > 0 ? " (better)" : sign < 0 ? " (worse)" : "");
}

function metricRows(a, b, compared, metrics, single) {
  return metrics.filter((name) => compared.has(name)).map((name) => {
    const { difference, low, high, verdict } = compared.get(name);
    const interval = low === null ? "" : ` [${formatDifference(name, low)}, ${formatDifference(name, high)}]`;
    return [name, ...[a, b].map((row) => formatMetric(name, row.metric(name).value)), formatDifference(name, difference) + interval, ...(single ? [] : [judge(name, verdict)])];
  });
}

/** What several runs show of accuracy, in a sentence for each split, and by which test. */
function describeGroups({ method, pairs, compared }) {
  const told = summaryMetrics.filter((name) => name.endsWith(".accuracy") && compared.has(name)).map((name) => {
    const { difference, low, high, verdict } = compared.get(name);
    const interval = low === null ? "" : `, 95 % interval ${formatDifference(name, low)} to ${formatDifference(name, high)}`;
    return `${name}: ${formatDifference(name, difference)} points${interval}${verdict && `: ${judge(name, verdict)}`}.`;
  });
  return [...told, fill(data.words.methods[method], { pairs })].join(" ");
}

/** A bar for each class, to the side of the one that recognises more. */
function recallBars(a, b, compared, split) {
  const metrics = classMetrics(split).filter((name) => compared.has(name));
  const widest = Math.max(...metrics.map((name) => Math.abs(compared.get(name).difference)), 1e-9);
  return metrics.map((name) => {
    const { difference, verdict } = compared.get(name);
    const bar = make("i", { kind: difference > 0 ? "b" : "a" });
    bar.style.width = `${(50 * Math.abs(difference)) / widest}%`;
    const values = `${formatMetric(name, a.metric(name).value)} → ${formatMetric(name, b.metric(name).value)}`;
    const told = ["higher", "lower"].includes(verdict) ? `, ${verdict}` : "";
    return make("li", { children: [make("span", { text: className(name) }), make("span", { kind: "bar", "aria-hidden": "true", children: [bar] }), make("span", { kind: "number", text: `${formatDifference(name, difference)}${told}` }), make("small", { text: values })] });
  });
}

function differences(a, b) {
  const changed = data.params.filter((name) => formatValue(a.param(name)) !== formatValue(b.param(name)));
  const files = data.files.filter((_, i) => a.run.files[i] !== b.run.files[i]);
  const parts = changed.length ? [table(["parameter", "A", "B"], changed.map((name) => [name, formatValue(a.param(name)), formatValue(b.param(name))]))] : [make("p", { text: "No parameter differs." })];
  parts.push(make("p", { text: `Data and code that differ: ${files.join(", ") || "nothing"}.` }));
  return parts;
}

function card(image) {
  const picture = image.picture ? make("img", { src: image.picture, alt: `${image.label}: ${image.path}` }) : make("span", { kind: "blank", text: image.path });
  const mark = (answer) => `${answer === image.label ? "✓" : "✗"} ${answer}`;
  const lines = [make("span", { text: `is ${image.label}` }), make("span", { kind: "a", text: `A ${mark(image.a)}` }), make("span", { kind: "b", text: `B ${mark(image.b)}` })];
  return make("li", { title: image.path, children: [picture, ...lines] });
}

function imagesNote(found) {
  const without = found.images.filter((image) => !image.picture).length;
  if (!found.images.length) return "Both give the same answer to every image.";
  if (!found.set.cached) return "The prepared images are not in DVC's cache, so their paths stand for them: `dvc pull` brings what a remote holds.";
  return without ? `This page holds pictures of the ${data.limits.images} images about which most runs disagree; of ${without} others, the path (--images holds more).` : "";
}

function drawImages(a, b) {
  const [x, y] = runsToShow(a, b);
  const found = compareAnswers(x, y);
  const kinds = { "": "every change", gained: "B right, A wrong", lost: "A right, B wrong", other: "both wrong, each otherwise" };
  const list = make("ul", { kind: "pictures" });
  const parts = [make("h3", { text: "Images whose answer changed" })];
  if (a.runs.length > 1 || b.runs.length > 1) parts.push(make("p", { text: `Answers of ${data.runs[x].name} (${seedOf(x)}) and ${data.runs[y].name} (${seedOf(y)}).` }));
  if (found.error) return [found, [...parts, make("p", { kind: "caution", text: found.error })]];
  const select = make("select", { children: Object.entries(kinds).map(([kind, text]) => make("option", { value: kind, text: `${text} (${found.images.filter((image) => !kind || image.kind === kind).length})` })) });
  const more = make("button", { type: "button", kind: "more" });
  const show = (most) => {
    const chosen = found.images.filter((image) => !select.value || image.kind === select.value).sort((p, q) => !p.picture - !q.picture);
    list.replaceChildren(...chosen.slice(0, most).map(card));
    more.hidden = chosen.length <= most;
    more.textContent = `Show all ${chosen.length} images`;
  };
  select.addEventListener("change", () => show(FEW_IMAGES));
  more.addEventListener("click", () => show(Infinity));
  show(FEW_IMAGES);
  const note = imagesNote(found);
  if (note) parts.push(make("p", { text: note }));
  if (found.images.length) parts.push(make("label", { text: "Show ", children: [select] }), list, more);
  return [found, parts];
}

function drawPair() {
  if (!answers) return null; // the page is still opening, and draws the pair when it has them
  const [a, b] = [rowById.get(state.a), rowById.get(state.b)];
  for (const side of ["a", "b"]) byId(`choose-${side}`).value = state[side];
  if (a === b) return byId("pair-result").replaceChildren(make("p", { text: data.runs.length > 1 ? "A and B are the same: choose two rows." : "There is one run, and nothing to compare it with." }));
  const { method, pairs, compared } = compareRows(a, b);
  const [found, images] = drawImages(a, b);
  const single = a.runs.length === 1 && b.runs.length === 1;
  const verdict = single ? describeAnswers(found, a.name, b.name) : describeGroups({ method, pairs, compared });
  const split = a.run.split === b.run.split ? a.run.split : "val";
  const bars = recallBars(a, b, compared, split);
  const kinds = ["", "number", "number", "number"];
  const parts = [make("p", { kind: "verdict", text: verdict })];
  if (split === "val") parts.push(make("p", { kind: "caution", text: data.words.no_test }));
  const left = [make("h3", { text: "What differs" }), ...differences(a, b), make("h3", { text: "Metrics" }), table(["metric", "A", "B", "B − A", ...(single ? [] : ["verdict"])], metricRows(a, b, compared, summaryMetrics, single), kinds)];
  if (!single) left.push(make("p", { kind: "small", text: data.words.caution }));
  const right = bars.length ? [make("h3", { text: `Recall of each class on ${split}, B − A in points` }), make("ol", { kind: "bars", children: bars })] : [];
  const columns = make("div", { kind: "columns", children: [left, right].map((children) => make("div", { children })) });
  return byId("pair-result").replaceChildren(...parts, columns, ...images);
}
