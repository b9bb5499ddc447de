"""Where a pipeline runs: this machine, a portable runner, Dataflow."""
