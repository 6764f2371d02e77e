// Package k8s holds the Kubernetes manifests of examples/kubernetes and the CRI client
// against Kubernetes' own types. It is a module of its own, so that those are in the
// graph of nobody else.
package k8s
