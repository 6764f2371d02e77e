package datapath

// Work is what a stage has done for a packet beyond a look at its headers: what a card's
// time for it is counted in.
type Work struct {
	Told    bool   // the rest says what was done, also where that is nothing
	Reads   uint8  // accesses to the state of connections, one after the other
	Lookups uint8  // in the tables that decide where the packet goes, one after the other
	Head    uint16 // bytes of the packet up to the last that was searched for a head's fields and end; 0: none was
	Written uint16 // bytes of heads written anew in the packet as it leaves

	// The exchange that the packet is part of: a client's request and its answer.
	Flow   int32 // number of the client's connection; -1: it is part of none
	Client bool  // it came from the client
	Answer bool  // bytes of the answer go to the client with it
}

// Worker is a Stage that says what it has done.
type Worker interface {
	Stage
	// Work is of the packet that Process was given last.
	Work() Work
}
