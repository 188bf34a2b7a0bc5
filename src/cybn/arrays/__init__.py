"""Arrays as they come and go: their view as (N, C, L), their checks, and memory for outputs."""
