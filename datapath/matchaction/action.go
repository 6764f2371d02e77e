package matchaction

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
)

// Op is what an action does.
type Op uint8

// The operations. Forward, Drop and Punt end a list of actions.
const (
	opNone Op = iota
	OpSetField
	OpForward
	OpDrop
	OpPunt
	OpMirror
	OpCount
)

// Action is one step of what becomes of a packet. Make one with the functions
// below.
type Action struct {
	Op    Op
	Field datapath.Field   // OpSetField
	Value datapath.Value   // OpSetField
	Ports datapath.PortSet // OpForward, OpMirror
	Name  string           // OpCount

	counter int
}

// SetField changes a field. It does nothing to packets without the header.
func SetField(f datapath.Field, v datapath.Value) Action {
	return Action{Op: OpSetField, Field: f, Value: v}
}

// Forward sends the packet to ports, instead of where it was to go before.
func Forward(ports datapath.PortSet) Action { return Action{Op: OpForward, Ports: ports} }

// Drop loses the packet, with DropTable.
func Drop() Action { return Action{Op: OpDrop} }

// Punt hands the packet to the host.
func Punt() Action { return Action{Op: OpPunt} }

// Mirror sends a copy to ports, whatever becomes of the packet.
func Mirror(ports datapath.PortSet) Action { return Action{Op: OpMirror, Ports: ports} }

// Count adds the packet to the table's counter of that name.
func Count(name string) Action { return Action{Op: OpCount, Name: name} }

func checkActions(actions []Action) error {
	for i, a := range actions {
		ends := false
		switch a.Op {
		case OpSetField:
			if !a.Field.Settable() || !a.Value.Fits(a.Field.Bits()) {
				return fmt.Errorf("matchaction: action %d: %v cannot be set to that value", i, a.Field)
			}
		case OpForward, OpDrop, OpPunt:
			ends = true
		case OpMirror:
		case OpCount:
			if a.Name == "" {
				return fmt.Errorf("matchaction: action %d: counter without a name", i)
			}
		default:
			return fmt.Errorf("matchaction: action %d: no operation", i)
		}
		if ends && i != len(actions)-1 {
			return fmt.Errorf("matchaction: action %d ends the list, but %d follow", i, len(actions)-1-i)
		}
	}
	return nil
}

// run applies actions to p. A list that does not end in a verdict continues.
func (t *Table) run(actions []Action, p *datapath.Packet) datapath.Verdict {
	for i := range actions {
		switch a := &actions[i]; a.Op {
		case OpSetField:
			if !p.SetField(a.Field, a.Value) {
				t.stats.SetAbsent++
			}
		case OpForward:
			p.Egress = a.Ports
			return datapath.Forward
		case OpDrop:
			p.Reason = datapath.DropTable
			return datapath.Drop
		case OpPunt:
			return datapath.Punt
		case OpMirror:
			p.Mirror |= a.Ports
		case OpCount:
			c := &t.counters[a.counter]
			c.Packets++
			c.Bytes += uint64(len(p.Data))
		}
	}
	return datapath.Continue
}
