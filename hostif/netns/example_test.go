package netns_test

import (
	"fmt"

	"github.com/meshnic/meshnic/hostif/netns"
)

// The first hyphen after the prefix ends the lab's name; hosts may have more.
func ExampleSplit() {
	name := netns.Name("bench", "reviews-v1")
	lab, host, ok := netns.Split(name)
	fmt.Println(name, lab, host, ok)
	// Output: mnic-bench-reviews-v1 bench reviews-v1 true
}
