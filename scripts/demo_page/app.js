// The page: charts, gallery and answers. Text goes in as textContent only, since class names may hold anything.

const SHOWN = 5; // classes listed in an answer
const CHARTED = 20; // classes in the chart: of more, those recognised least
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const { size, crop } = data.preprocessing; // of the square that the model takes, and of its centre, which is all that it sees
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** An element with a class, a text and children. */
function make(tag, { kind = "", text = "", children = [], ...properties } = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (kind) element.className = kind;
  element.append(text, ...children);
  return element;
}

function makeBar(name, share) {
  const fill = make("i");
  fill.style.width = `${100 * share}%`;
  const track = make("span", { kind: "bar", children: [fill] });
  const row = make("li", { children: [make("span", { text: name }), track, make("span", { kind: "number", text: percent(share) })] });
  Object.assign(row.dataset, { name, share });
  return row;
}

function drawSummary() {
  const exact = 100 * data.accuracy;
  const right = exact > 99 && exact < 100 ? 99 : exact > 0 && exact < 1 ? 1 : Math.round(exact);
  const squares = Array.from({ length: 100 }, (_, i) => make("i", { kind: i < right ? "" : "wrong" }));
  byId("hundred").append(...squares);
  byId("hundred").setAttribute("aria-label", `${right} squares of 100 are filled`);
  byId("hundred-text").textContent = "A hundred images: filled squares are right answers.";
  byId("recall").append(...data.recall.slice(-CHARTED).map((entry) => makeBar(...entry)));
  const all = data.recall.length;
  if (all > CHARTED) byId("recall").before(make("p", { text: `The ${CHARTED} of ${all} that it recognises least.` }));
}

function fillGallery() {
  const select = byId("class");
  const shown = new Set(data.gallery.map((item) => item.label));
  for (const name of data.classes.filter((name) => shown.has(name))) {
    select.append(make("option", { text: name, value: `=${name}` })); // so that no name is the empty value
  }
  const items = data.gallery.map(({ image, label, prediction, confidence }) => {
    const right = label === prediction;
    const picture = make("img", { src: image, alt: right ? `${label}, recognised` : `${label}, taken for ${prediction}` });
    const verdict = make("span", { kind: "verdict", text: `${right ? "✓" : "✗"} ${prediction}` });
    const detail = make("span", { text: right ? percent(confidence) : `${percent(confidence)}, is ${label}` });
    const item = make("li", { kind: right ? "right" : "wrong", children: [picture, verdict, detail] });
    return { item, label: `=${label}` };
  });
  byId("pictures").append(...items.map(({ item }) => item));

  function filter() {
    const verdict = document.querySelector("input[name=verdict]:checked").value;
    for (const { item, label } of items) {
      item.hidden = (select.value && label !== select.value) || (verdict && !item.classList.contains(verdict));
    }
    byId("count").textContent = `${items.filter(({ item }) => !item.hidden).length} of ${items.length} shown`;
  }
  byId("filters").addEventListener("input", filter);
  filter();
}

/** Take what the export put into an element of this page: gzip, in base64. */
async function unpack(id) {
  const element = byId(id);
  const text = element.textContent;
  const bytes = Uint8Array.fromBase64 // newer and much faster
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  element.remove(); // megabytes that nobody needs any more
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Start the model; returns a function from pixels (see fitToSquare) to the probability of each class. */
async function startModel() {
  const [script, wasm, model] = await Promise.all(["script", "wasm", "onnx"].map(unpack));
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const ort = await import(url);
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1; // more need headers that a file does not have
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const area = size ** 2;
  return async (square) => {
    const planes = new Uint8Array(3 * area); // the model takes a plane per channel
    for (let i = 0; i < 3 * area; i++) planes[(i % 3) * area + Math.floor(i / 3)] = square[i];
    const image = new ort.Tensor("uint8", planes, [1, 3, size, size]);
    const outputs = await session.run({ [session.inputNames[0]]: image });
    return outputs[session.outputNames[0]].data;
  };
}

/** What the model sees of an image and says of it. */
async function answer(file, classify) {
  const bitmap = await decodeFile(file);
  let square;
  try {
    square = fitToSquare(bitmap, data.preprocessing);
  } finally {
    bitmap.close();
  }
  const probabilities = await classify(square);
  const ranked = data.classes.map((name, i) => [name, probabilities[i]]).sort((a, b) => b[1] - a[1]);
  const [name, share] = ranked[0];
  return {
    title: `${name}, ${percent(share)}`,
    content: [
      make("ol", { kind: "bars", children: ranked.slice(0, SHOWN).map((entry) => makeBar(...entry)) }),
      make("p", { text: `${file.name}, as the model sees it: ${crop} × ${crop} pixels.` }),
    ],
    picture: paint(cutCentre(square, size, crop)),
  };
}

function paint(centre) {
  const canvas = make("canvas", { width: crop, height: crop });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The image as the model sees it");
  const context = canvas.getContext("2d");
  const image = context.createImageData(crop, crop);
  for (let i = 0; i < crop ** 2; i++) {
    image.data.set([...centre.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Answer files one by one, in their order, above earlier answers. */
async function answerAll(files, classify) {
  const batch = make("div");
  byId("answers").prepend(batch);
  let failures = 0;
  for (const [i, file] of files.entries()) {
    byId("status").textContent = `Looking at image ${i + 1} of ${files.length} …`;
    const started = performance.now();
    let parts;
    try {
      parts = await answer(file, classify);
    } catch (error) {
      failures += 1;
      parts = { failed: true, title: file.name, content: [make("p", { text: error.message })], picture: make("span") };
    }
    const heading = make("h3", { text: parts.title });
    const text = make("div", { children: [heading, ...parts.content] });
    batch.append(make("article", { kind: parts.failed ? "answer failed" : "answer", children: [parts.picture, text] }));
    performance.measure("answer", { start: started });
  }
  const one = files.length === 1 && !failures ? `: ${batch.querySelector("h3").textContent}` : "";
  const failed = failures ? `, ${failures} could not be read` : "";
  byId("status").textContent = `${files.length - failures} of ${files.length} answered${failed}${one}.`;
}

async function offerModel() {
  const [status, input, drop] = [byId("status"), byId("files"), byId("drop")];
  const model = startModel();
  let queue = Promise.resolve(); // one batch after the other
  const take = (files) => (queue = queue.then(async () => answerAll(files, await model)).catch(() => {}));
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault(); // or the browser would leave this page for a file dropped beside the field
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    });
  }
  try {
    await model;
  } catch (error) {
    status.textContent = `The model cannot run in this browser (${error.message}). A browser from 2023 or later can.`;
    return;
  }
  input.disabled = false;
  status.textContent = "The model is ready.";
  performance.mark("ready");
}

document.body.classList.toggle("coarse", data.coarse);
drawSummary();
fillGallery();
await offerModel();
