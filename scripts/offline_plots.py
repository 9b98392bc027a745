"""Make DVC's plot pages work without a network.

    python scripts/offline_plots.py .venv/plots.html

`dvc plots show` draws with Vega, which its default page loads from a web server. This writes the same
page with Vega inside, and tells DVC (in .dvc/config.local, which Git ignores) to use it.
"""

import subprocess
import sys
from pathlib import Path

from classifier.files import atomic_write

import vl_convert

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DVC plots</title>
{refresh_tag}
<style>
  body { font-family: system-ui, sans-serif; margin: 1rem auto; padding: 0 1rem; max-width: 66rem; color: #222; }
  h2, p { font-size: 1rem; font-weight: 600; margin: 2rem 0 0.5rem; }
  .chart { width: 100%; }
  .chart details { opacity: 0.3; }
  /* Pictures: as wide as the page, instead of in a box to scroll in; on phones, no smaller than one can read. */
  [id$="_png"], [id$="_png"] > div { border: 0 !important; margin: 0 !important; text-align: left !important; }
  [id$="_png"] > div { display: block !important; overflow-x: auto; white-space: normal !important; }
  [id$="_png"] img { width: 100%; min-width: 45rem; max-width: 66rem; }
</style>
<script>
(() => {
SCRIPT
})();
// Every chart as wide as the page, its title as text that wraps, and names cut shorter where there is little room.
window.vegaEmbed = ((embed) => (place, spec) => {
  const [title, chart] = ["h2", "div"].map((tag) => document.createElement(tag));
  chart.className = "chart";
  document.querySelector(place).append(title, chart);
  if (typeof spec.width === "number") {
    title.textContent = spec.title?.text ?? "";
    Object.assign(spec, {title: undefined, width: "container", autosize: {type: "fit-x", contains: "padding"}});
    const y = spec.encoding?.y;
    if (chart.clientWidth < 600 && spec.config?.axis) spec.config.axis.labelLimit = 90;
    if (new Set(spec.data.values.map((row) => row[y?.field])).size > spec.usermeta?.numbersUpTo) {
      spec.height = {step: 11, for: "position"};
      spec.config.axis.labelFontSize = 9;
    }
  }
  return embed(chart, spec, {renderer: "svg"});
})(window.vegaEmbed);
</script>
</head>
<body>
<h1>Plots</h1>
{plot_divs}
</body>
</html>
"""


def main() -> None:
    page = Path(sys.argv[1]).resolve()
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with atomic_write(page) as file:
        file.write(PAGE.replace("SCRIPT", script).encode())
    subprocess.run(["dvc", "config", "--local", "plots.html_template", str(page)], check=True)
    print(f"wrote {page}: `dvc plots show` now needs no network")


if __name__ == "__main__":
    main()
