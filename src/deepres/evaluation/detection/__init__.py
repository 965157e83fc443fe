"""Average precision by the benchmarks' own rules, and localization error."""
