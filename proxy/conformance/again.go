package conformance

import "time"

// Again has play show what comes of each of all, and shows again, by itself and twice
// at most, what is not fine: much of it is told by a pause, or by a timeout, and on a
// machine that is busy one of many steps comes too late for it. What is wrong is so
// each time. A play that has all its times in hand takes that much longer for them.
func Again[Story, Seen any](all []Story, play func(some []Story, longer time.Duration) []Seen, fine func(s Story, seen Seen) bool) []Seen {
	seen := play(all, 1)
	for _, longer := range []time.Duration{2, 4} {
		var some []Story
		var at []int
		for i, s := range all {
			if !fine(s, seen[i]) {
				some, at = append(some, s), append(at, i)
			}
		}
		if len(some) == 0 {
			break
		}
		for i, s := range play(some, longer) {
			seen[at[i]] = s
		}
	}
	return seen
}
