"""The Beam transforms: wiring around `beam_ingest.ingest.build` and the stores."""
