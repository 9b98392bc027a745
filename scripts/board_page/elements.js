// Elements and numbers. Text goes in as textContent only, since names and messages may hold anything.

const byId = (id) => document.getElementById(id);
const ABSENT = "–";
const isShare = (metric) => !metric.endsWith("loss");

/** An HTML element with a class, a text, attributes that begin with aria- or data-, properties, and children. */
function make(tag, { kind = "", text = "", children = [], ...rest } = {}) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  for (const [name, value] of Object.entries(rest)) {
    if (name.includes("-") || name === "role" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  if (text) element.append(text);
  element.append(...children);
  return element;
}

/** An SVG element with attributes and children. */
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A metric as people read it: shares in percent, a loss as it is. */
function formatMetric(metric, value) {
  if (value === null || value === undefined) return ABSENT;
  return isShare(metric) ? `${(100 * value).toFixed(1)} %` : value.toFixed(4);
}

/** A difference with its sign: in points of a hundred for shares. */
function formatDifference(metric, value) {
  const number = Math.abs(isShare(metric) ? 100 * value : value).toFixed(isShare(metric) ? 1 : 4);
  const sign = Number(number) === 0 ? "" : value > 0 ? "+" : "−";
  return sign + number;
}

/** What an interval adds to a value, beneath it: half its width over seeds, else its two ends. */
function formatInterval(metric, { value, low, high, kind }) {
  if (low === null || low === undefined) return "";
  const plain = (number) => (isShare(metric) ? (100 * number).toFixed(1) : number.toFixed(4));
  if (kind === "seeds") return `± ${plain(high - value)}`;
  return kind === "range" ? `${plain(low)} … ${plain(high)}` : `[${plain(low)}, ${plain(high)}]`;
}

const formatValue = (value) => (value === null || value === undefined ? ABSENT : String(value));
const formatTime = (time) => (time ? new Date(1000 * time).toISOString().slice(0, 16).replace("T", " ") : ABSENT);
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** `number` with two digits, as Python's format ".2g" writes it. */
function formatG(number) {
  const [digits, exponent] = number.toExponential(1).split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 2) {
    return `${digits.replace(/\.0$/, "")}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  const fixed = number.toFixed(Math.max(0, 1 - power));
  return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
}

/** A name that breaks at its dots where there is little room. */
const breakable = (name) => name.replaceAll(".", ".\u200b");
