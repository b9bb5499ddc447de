"""``python -m beam_ingest``, and the command ``beam-ingest``."""

import sys

from beam_ingest import interrupt

interrupt.ends_at_once()


def main() -> int:
    """Run the command line; returns the exit status."""
    from beam_ingest import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
