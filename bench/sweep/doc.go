// Package sweep runs one pipeline at many points: a cross product of clocks,
// widths, depths or any other parameter with traffic. Each point gives latency,
// throughput, drops, occupancy and an estimate of area; all of it is model time.
//
//	plan (command line or YAML) ─ points 0 … n-1 ─┬─ worker ─┬─ points.jsonl ─ table, front
//	                                              └─ worker ─┘
//
// A point depends on the plan and its number alone, so points may be computed in
// any order, by any number of workers, on any machine (Shard), in several runs
// (Store), and put together again (Merge): the same plan gives the same bytes.
package sweep
