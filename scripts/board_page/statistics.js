// What repeated runs show, as classifier/results/significance.py and intervals.py compute it; a test compares the two.

const Z = 1.959963984540054;

/** The bounds of Wilson's 95 % interval for a share of so many images. */
function wilson(share, images) {
  const spread = Z ** 2 / images;
  const centre = (share + spread / 2) / (1 + spread);
  const half = (Z * Math.sqrt((share * (1 - share)) / images + spread / (4 * images))) / (1 + spread);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/** ln Γ(x), by Lanczos' approximation. */
function logGamma(x) {
  const terms = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3, -5.395239384953e-6];
  const base = x + 5.5;
  const sum = terms.reduce((total, term, i) => total + term / (x + 1 + i), 1.000000000190015);
  return (x + 0.5) * Math.log(base) - base + Math.log((2.5066282746310005 * sum) / x);
}

/** The regularised incomplete beta function, by Lentz's continued fraction. */
function incompleteBeta(x, a, b) {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const guard = (value) => (Math.abs(value) < 1e-300 ? 1e-300 : value);
  let [c, d] = [1, 1 / guard(1 - ((a + b) * x) / (a + 1))];
  let fraction = d;
  for (let m = 1; m < 500; m++) {
    for (const term of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / guard(1 + term * d);
      c = guard(1 + term / c);
      fraction *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return front * fraction;
}

/** The two-sided p-value of Student's t. */
const tTest = (t, freedom) => incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);

/** The t beyond which, on both sides, lies a share `p`. */
function tQuantile(p, freedom) {
  let [low, high] = [0, 1e6];
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (tTest(middle, freedom) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values) => mean(values.map((value) => (value - mean(values)) ** 2)) * (values.length / (values.length - 1));

function estimate(difference, error, freedom) {
  const half = tQuantile(1 - 0.95, freedom) * error;
  return { difference, low: difference - half, high: difference + half, p: tTest(difference / error, freedom) };
}

/** A metric of two groups of runs, as maps from seeds to values: the difference, its interval and p where there is one. */
function compareMetric(reference, other, method, shared, spread) {
  const [a, b] = [[...reference.values()], [...other.values()]];
  const plain = { difference: mean(b) - mean(a), low: null, high: null, p: null };
  if (method === "paired t") {
    const pairs = shared.map((seed) => other.get(seed) - reference.get(seed));
    if (!(Math.sqrt(variance(pairs)) > spread)) return { ...plain, difference: mean(pairs) };
    return estimate(mean(pairs), Math.sqrt(variance(pairs) / pairs.length), pairs.length - 1);
  }
  if (method === "one run" || ![a, b].some((values) => Math.sqrt(variance(values)) > spread)) return plain;
  const errors = [a, b].map((values) => variance(values) / values.length);
  const sum = errors[0] + errors[1];
  const freedom = sum ** 2 / (errors[0] ** 2 / (a.length - 1) + errors[1] ** 2 / (b.length - 1));
  return estimate(plain.difference, Math.sqrt(sum), freedom);
}

/** The method for two lists of seeds, and the seeds that both have. */
function chooseMethod(reference, other) {
  const shared = reference.filter((seed) => other.includes(seed));
  if (shared.length >= 2) return ["paired t", shared];
  return [Math.min(reference.length, other.length) >= 2 ? "Welch's t" : "one run", shared];
}

/** Benjamini–Hochberg: each p-value adjusted for all of them. */
function falseDiscovery(values) {
  const order = values.map((_, i) => i).sort((i, j) => values[j] - values[i]);
  const adjusted = [];
  let least = 1;
  order.forEach((i, rank) => {
    least = Math.min(least, (values[i] * values.length) / (values.length - rank));
    adjusted[i] = least;
  });
  return adjusted;
}

/** McNemar's exact test: p for so many images that only the one and only the other model gets right. */
function mcnemar(onlyReference, onlyOther) {
  const decisive = onlyReference + onlyOther;
  let tail = 0;
  for (let i = 0; i <= Math.min(onlyReference, onlyOther); i++) {
    tail += Math.exp(logGamma(decisive + 1) - logGamma(i + 1) - logGamma(decisive - i + 1) - decisive * Math.LN2);
  }
  return Math.min(1, 2 * tail);
}
