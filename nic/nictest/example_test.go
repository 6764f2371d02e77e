package nictest_test

import (
	"fmt"

	"github.com/meshnic/meshnic/nic/nictest"
)

// A conversation is plain data. One that fails is shrunk and told with Transcript.
func Example() {
	c := &nictest.Conversation{
		Seed:    7,
		Clients: []nictest.HostConfig{{NoSACK: true, Out: nictest.Cable{Loss: 0.02}}},
		Servers: []nictest.HostConfig{{}},
		Connections: []nictest.Connection{{Exchanges: []nictest.Exchange{
			{Method: "POST", Body: 50_000, Chunked: true},
			{Answer: nictest.Answer{Body: 10, Close: true}},
		}}},
	}
	r, err := nictest.Run(c, nictest.Setup{Card: func(int) (nictest.Card, error) { return nictest.Wire{}, nil }})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(c)
	fmt.Println(len(r.Servers[0].Served[0].Messages), "requests,", r.Faults.Lost > 0, r.Check(nictest.View{}))
	// Output:
	// seed 7
	// port 0  client 0, no SACK; out loss 0.02
	// port 1  server 0
	// connection 0  client 0 > server 0, end answered
	//   POST /0/0, body 50000, chunked
	//     200 length
	//   GET /0/1
	//     200 length, body 10, close
	// 2 requests, true <nil>
}
