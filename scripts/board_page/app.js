// What happens when the page opens, and when one changes what is shown.

/** Take what board.py put into an element of this page: JSON, gzip, base64. */
async function unpack(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** Draw all that depends on filter, order and grouping. */
function refresh() {
  state.shown = visibleRows();
  drawTable();
  drawCharts();
  drawHeat();
}

function fillChoices() {
  const single = [...groupRows, ...uncounted];
  const inner = groupRows.flatMap(members);
  const option = (row) => make("option", { value: row.id, text: row.label });
  for (const side of ["a", "b"]) {
    const select = byId(`choose-${side}`);
    select.append(...single.map(option));
    if (inner.length) {
      const group = make("optgroup", { label: "single seeds", children: inner.map(option) });
      select.append(group);
    }
    select.addEventListener("change", () => choose(side, select.value));
  }
  const splits = ["test", "val"].filter((split) => classMetrics(split).length);
  byId("split").append(...splits.map((split) => make("option", { value: split, text: split })));
  byId("split").addEventListener("change", drawHeat);
  byId("target").append(...summaryMetrics.map((name) => make("option", { value: name, text: name })));
  byId("target").value = summaryMetrics.includes("val.accuracy") ? "val.accuracy" : summaryMetrics[0];
  byId("target").addEventListener("change", drawCharts);
}

/** The first pair: from `baseline` to the first row, which is HEAD's, or from that to the best of the others on validation. */
function choosePair() {
  const seeds = members(groupRows[0]);
  const rows = [...groupRows, ...uncounted];
  const [first, ...others] = rows.length === 1 && seeds.length ? seeds : rows;
  const accuracy = (row) => row.metric("val.accuracy").value ?? -1;
  const baseline = others.find((row) => row.runs.some((run) => data.runs[run].names.includes("baseline")));
  const best = others.length ? others.reduce((most, row) => (accuracy(row) > accuracy(most) ? row : most)) : first;
  [state.a, state.b] = (baseline ? [baseline, first] : [first, best]).map((row) => row.id);
}

function listen() {
  for (const [id, name] of [["grouped", "grouped"], ["every-param", "everyParam"], ["every-metric", "everyMetric"]]) {
    byId(id).checked = state[name];
    byId(id).addEventListener("change", () => {
      state[name] = byId(id).checked;
      refresh();
    });
  }
  byId("filter").addEventListener("input", () => {
    state.filter = byId("filter").value;
    refresh();
  });
  NARROW.addEventListener("change", drawCharts);
  byId("more").addEventListener("click", () => {
    state.all = true;
    refresh();
  });
}

function drawNotes() {
  byId("made").textContent = `${data.folder}: ${count(data.runs.length, "run")}` + (data.groups.length < data.runs.length ? ` in ${count(data.groups.length, "group")} that differ in more than seeds` : "") + `, as of ${data.made}`;
  const items = data.notes.map((note) => make("li", { text: note }));
  if (!items.length) return;
  const summary = make("summary", { text: data.runs.length ? `Left out: ${items.length}` : "There is nothing to show" });
  byId("notes").append(make("details", { open: items.length <= 3 || !data.runs.length, children: [summary, make("ul", { children: items })] }));
}

drawNotes();
if (data.runs.length) {
  fillChoices();
  choosePair();
  listen();
  document.body.classList.toggle("single", data.runs.length === 1);
  byId("main").hidden = false;
  refresh();
  try {
    answers = await unpack("answers");
  } catch (error) {
    answers = { sets: [], of: data.runs.map(() => `This browser cannot unpack the answers (${error.message}); one from 2023 or later can.`) };
  }
  drawPair();
  document.body.dataset.ready = "yes";
}
