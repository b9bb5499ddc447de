"""``python -m beam_ingest``: the same as the command ``beam-ingest``."""

import sys

from beam_ingest.cli import main

sys.exit(main())
