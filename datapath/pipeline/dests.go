package pipeline

import (
	"fmt"
	"strconv"
	"strings"
)

// Dests are the tdests of a run's frames: a list for each input, through which
// its frames go in turn. A single list is for every input; without any, tdest is 0.
type Dests [][]int

// ParseDests reads the tdests of inputs, with commas between, each one number
// or several with slashes: "0,64/128" sends input 0's frames to 0, input 1's to
// 64 and 128 in turn.
func ParseDests(s string) (Dests, error) {
	if s == "" {
		return nil, nil
	}
	var d Dests
	for i, input := range strings.Split(s, ",") {
		var turn []int
		for _, word := range strings.Split(input, "/") {
			v, err := strconv.Atoi(strings.TrimSpace(word))
			if err != nil {
				return nil, fmt.Errorf("dest %q of input %d is not a number: want one like 64 for all inputs, 0,64 for one each, 0/64 for frames in turn", word, i)
			}
			turn = append(turn, v)
		}
		d = append(d, turn)
	}
	return d, d.check()
}

func (d Dests) String() string {
	var inputs []string
	for _, turn := range d {
		var words []string
		for _, v := range turn {
			words = append(words, strconv.Itoa(v))
		}
		inputs = append(inputs, strings.Join(words, "/"))
	}
	return strings.Join(inputs, ",")
}

func (d Dests) check() error {
	for i, turn := range d {
		if len(turn) == 0 {
			return fmt.Errorf("dest of input %d is empty", i)
		}
		for _, v := range turn {
			if v < 0 || v > 255 {
				return fmt.Errorf("dest %d of input %d, want 0 to 255", v, i)
			}
		}
	}
	return nil
}

// of is the tdest of a frame, both counted from 0.
func (d Dests) of(input, frame int) uint8 {
	if len(d) == 0 {
		return 0
	}
	turn := d[input%len(d)]
	return uint8(turn[frame%len(turn)])
}
