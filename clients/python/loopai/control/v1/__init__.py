"""Generated wire code only; its source is `proto/`. Change that and run `scripts/proto`."""
