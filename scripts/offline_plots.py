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
<title>DVC plots</title>
{refresh_tag}
<style>
  body { font-family: system-ui, sans-serif; margin: 2rem; color: #222; }
  p { margin: 1.5rem 0 0.25rem; font-weight: 600; }
  img { max-width: 100%; }
  /* Pictures: the revisions beside each other where there is room, instead of a box to scroll in. */
  [id$="_png"] { display: flex; flex-wrap: wrap; gap: 0 1.5rem; white-space: normal !important; }
  [id$="_png"], [id$="_png"] > div { border: 0 !important; margin: 0 !important; text-align: left !important; }
  [id$="_png"] > p { width: 100%; }
  [id$="_png"] > div { flex: 1 1 30rem; max-width: 66rem; }
</style>
<script>
(() => {
SCRIPT
})();
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
