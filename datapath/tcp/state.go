package tcp

// State is a connection's state as the middle of the path sees it.
type State uint8

// The states.
const (
	None        State = iota // no flow
	SynSent                  // a SYN was seen
	SynReceived              // and the other side's
	Established              // and its acknowledgement
	FinWait                  // one side has sent FIN
	CloseWait                // and it was acknowledged
	LastAck                  // both sides have sent FIN
	Closed                   // and both were acknowledged
	Reset                    // ended by RST
	NumStates                // number of states, for arrays
)

var stateNames = [NumStates]string{
	"NONE", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "CLOSED", "RESET",
}

// String returns the state's name.
func (s State) String() string {
	if s < NumStates {
		return stateNames[s]
	}
	return "unknown"
}

// over reports whether nothing can follow but a new connection.
func (s State) over() bool { return s == Closed || s == Reset }
