//go:build race

package lab

// slow says that this binary takes long to start: tests start fewer of them.
const slow = true
