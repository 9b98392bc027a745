"""Run a script and kill it when it has written the first 100,000 bytes of a file: killed_in_write.py SCRIPT"""

import resource
import runpy
import signal
import sys

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
