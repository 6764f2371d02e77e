package nictest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/meshnic/meshnic/datapath/wire"
)

// Setup is what a conversation is held through.
type Setup struct {
	// Card makes the card for hosts on so many ports: clients first, then servers.
	Card func(ports int) (Card, error)
	// To is where connection i is dialled; nil: port 80 of the server it is for.
	To func(i int) netip.AddrPort
	// Neighbours are addresses that the hosts know beside each other's: the card's.
	Neighbours map[netip.Addr]wire.MAC
	// After is for how long time goes on when all is said, so that FINs are
	// acknowledged, and timers of the card run out. 0: not at all.
	After time.Duration
	// Trace, if set, is told every frame.
	Trace func(at time.Duration, cable string, frame []byte, note string)
	View  View // what Check allows
}

// Record is what came of a conversation.
type Record struct {
	*Play
	Finished bool          // all connections came and went before the limit
	Took     time.Duration // of virtual time
	Stalls   []Stall       // of the hosts' own TCPs
	Frames   int           // that cables delivered or lost
	Faults   Faults        // of all cables
	// Of the hosts: segments that they sent again, and timers that ran out before.
	Retransmits, Timeouts uint64
	Digest                uint64 // of every frame with its time and place: equal for equal runs
}

// limit is how long a conversation may take: every peer gives up long before.
const limit = 4 * time.Hour

// Port is where servers listen.
const Port = 80

// Run holds a conversation in a World of its own.
func Run(c *Conversation, s Setup) (*Record, error) {
	r := &Record{}
	hash := fnv.New64a()
	wc := WorldConfig{Seed: c.Seed, Trace: func(at time.Duration, cable string, frame []byte, note string) {
		r.Frames++
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(at))
		hash.Write(b[:])
		hash.Write([]byte(cable))
		hash.Write([]byte(note))
		hash.Write(frame)
		if s.Trace != nil {
			s.Trace(at, cable, frame, note)
		}
	}}
	wc.Hosts = append(append(wc.Hosts, c.Clients...), c.Servers...)
	for i := range wc.Hosts {
		if wc.Hosts[i].Neighbours == nil {
			wc.Hosts[i].Neighbours = s.Neighbours
		}
	}
	var err error
	if wc.Card, err = s.Card(len(wc.Hosts)); err != nil {
		return nil, fmt.Errorf("nictest: card: %w", err)
	}
	w, err := NewWorld(wc)
	if err != nil {
		return nil, err
	}
	if err := r.play(c, w, s); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	r.Took = w.Now()
	r.Stalls = w.Stalls()
	if s.After > 0 {
		w.Run(w.Now()+s.After, nil)
	}
	for p := range wc.Hosts {
		a, b := w.Faults(p)
		r.Faults.Add(a)
		r.Faults.Add(b)
		st := w.Host(p).Stats()
		r.Retransmits += st.Retransmits.Value()
		r.Timeouts += st.Timeouts.Value()
	}
	r.Digest = hash.Sum64()
	return r, w.Close()
}

func (r *Record) play(c *Conversation, w *World, s Setup) (err error) {
	var clients, servers []TCP
	var listen []netip.AddrPort
	for i := range c.Clients {
		clients = append(clients, w.Host(i))
	}
	for i := range c.Servers {
		h := w.Host(len(c.Clients) + i)
		servers = append(servers, h)
		listen = append(listen, netip.AddrPortFrom(h.Addr, Port))
	}
	to := s.To
	if to == nil {
		to = func(i int) netip.AddrPort { return listen[c.Connections[i].Server] }
	}
	if r.Play, err = NewPlay(c, clients, servers, listen, to); err != nil {
		return err
	}
	r.Finished = w.Run(limit, r.Play.Done)
	return r.Play.Err()
}

// Add adds another cable's.
func (f *Faults) Add(o Faults) {
	f.Frames += o.Frames
	f.Lost += o.Lost
	f.Duplicated += o.Duplicated
	f.Reordered += o.Reordered
	f.Corrupted += o.Corrupted
	f.Stalled += o.Stalled
	f.Split += o.Split
	f.Coalesced += o.Coalesced
}

// String names the faults that were made.
func (f Faults) String() string {
	return fmt.Sprintf("%d frames, %d lost, %d doubled, %d reordered, %d corrupted, %d stalled, %d split, %d merged",
		f.Frames, f.Lost, f.Duplicated, f.Reordered, f.Corrupted, f.Stalled, f.Split, f.Coalesced)
}
