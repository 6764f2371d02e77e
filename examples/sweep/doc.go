// Package sweep is a plan for meshnic sweep, and the scripts that run it as an
// array job under Slurm and under Kubernetes.
package sweep
