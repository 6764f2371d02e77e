//go:build linux && race

package sidecar

const raceEnabled = true
