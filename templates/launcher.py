"""What the flex template's launcher runs (FLEX_TEMPLATE_PYTHON_PY_FILE): it submits the job and returns."""

import sys

from beam_ingest.cli.template import main

if __name__ == "__main__":
    sys.exit(main())
