// Package enginetest holds the two engines against each other: it draws random
// pipelines, traffic and back-pressure, runs each Case under the reference
// engine and under the fast one, and compares every beat's cycle on every wire,
// every memory's highest level and every frame lost. A case that fails is shrunk
// and printed as a Go test.
//
//	c := enginetest.Draw(rand.NewPCG(seed, 0))
//	if diff := c.Diff(); diff != "" {
//		fmt.Println(enginetest.Shrink(c).GoTest("Seed7"))
//	}
//
// The same seed gives the same case and the same Digest on every machine.
package enginetest
