"""Published figures recomputed by `kerasprune reproduce`: one file per source."""
