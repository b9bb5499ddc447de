"""The Beam transforms: wiring around `beam_ingest.build` and the stores."""
