package mesh

// DrainCloses reports whether a response asks for the close, elapsed after its
// listener began to drain, of all that it takes, in any unit: Envoy's gradual
// strategy, a part of them that grows with time. draw is a number by chance.
func DrainCloses(elapsed, all uint64, draw func() uint64) bool {
	return elapsed >= all || draw()%all < elapsed
}
