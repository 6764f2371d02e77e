package conformance

// Again has play show what comes of each of all, and shows again, by itself and twice
// at most, what is not fine: much of it is told by a pause, or by a timeout, and on a
// machine that is busy one of many steps comes too late for it. What is wrong is so
// each time, and many at once are not by chance.
func Again[Story, Seen any](all []Story, play func(some []Story) []Seen, fine func(s Story, seen Seen) bool) []Seen {
	seen := play(all)
	for range 2 {
		var some []Story
		var at []int
		for i, s := range all {
			if !fine(s, seen[i]) {
				some, at = append(some, s), append(at, i)
			}
		}
		if len(some) == 0 || len(some) > max(3, len(all)/10) {
			break
		}
		for i, s := range play(some) {
			seen[at[i]] = s
		}
	}
	return seen
}
