"""How well objects are found, by each benchmark's own rules, and the benchmarks' result files."""
