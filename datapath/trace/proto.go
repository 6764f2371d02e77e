package trace

import (
	"bufio"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Fields of Perfetto's protos/perfetto/trace/perfetto_trace.proto.
const (
	fieldPacket = 1 // Trace

	packetTimestamp = 8 // TracePacket
	packetSequence  = 10
	packetEvent     = 11
	packetInterned  = 12
	packetFlags     = 13
	packetTrack     = 60
	packetFirst     = 87

	trackUUID     = 1 // TrackDescriptor
	trackName     = 2
	trackParent   = 5
	trackCounter  = 8
	trackOrdering = 11
	trackRank     = 12

	counterUnit = 3 // CounterDescriptor

	fieldAnnotation = 4 // TrackEvent
	fieldType       = 9
	fieldNameIID    = 10
	fieldTrack      = 11
	fieldName       = 23
	fieldCounter    = 30
	fieldFlow       = 47
	fieldEndFlow    = 48
	fieldCorrelate  = 52

	annotationNameIID = 1 // DebugAnnotation
	annotationUint    = 3
	annotationInt     = 4
	annotationTextIID = 17

	eventNames      = 2 // InternedData
	annotationNames = 3
	annotationTexts = 29

	internedIID  = 1 // EventName, DebugAnnotationName, InternedString
	internedName = 2
)

// Values of its enums.
const (
	typeBegin   = 1 // TrackEvent.Type
	typeEnd     = 2
	typeInstant = 3
	typeCounter = 4

	stateCleared = 1 // TracePacket.SequenceFlags
	stateNeeded  = 2

	orderExplicit = 3 // TrackDescriptor.ChildTracksOrdering
	unitBytes     = 3 // CounterDescriptor.Unit
	sequence      = 1
)

// protoOut puts packets together. Strings that come again are interned.
type protoOut struct {
	w      *bufio.Writer
	err    error
	begun  bool
	iids   map[interned]uint64
	event  []byte // the TrackEvent being put together
	fresh  []byte // InternedData that this packet brings
	part   []byte
	packet []byte
	trace  []byte
}

type interned struct {
	kind protowire.Number
	text string
}

func newProtoOut(w io.Writer) protoOut {
	return protoOut{w: bufio.NewWriterSize(w, 1<<16), iids: map[interned]uint64{}}
}

func (o *protoOut) uint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func (o *protoOut) str(b []byte, n protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func (o *protoOut) msg(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

// iid appends the number that stands for a text.
func (o *protoOut) iid(b []byte, n, kind protowire.Number, text string) []byte {
	key := interned{kind, text}
	id, ok := o.iids[key]
	if !ok {
		id = uint64(len(o.iids) + 1)
		o.iids[key] = id
		m := o.str(o.uint(nil, internedIID, id), internedName, text)
		o.fresh = o.msg(o.fresh, kind, m)
	}
	return o.uint(b, n, id)
}

// begin begins an event.
func (o *protoOut) begin(track, kind uint64) {
	o.event = o.uint(o.event[:0], fieldType, kind)
	o.event = o.uint(o.event, fieldTrack, track)
}

// int adds an annotation.
func (o *protoOut) int(name string, v int64) {
	o.part = o.uint(o.iid(o.part[:0], annotationNameIID, annotationNames, name), annotationInt, uint64(v))
	o.event = o.msg(o.event, fieldAnnotation, o.part)
}

func (o *protoOut) text(name, v string) {
	o.part = o.iid(o.part[:0], annotationNameIID, annotationNames, name)
	o.part = o.iid(o.part, annotationTextIID, annotationTexts, v)
	o.event = o.msg(o.event, fieldAnnotation, o.part)
}

// id says which frame an event is about, also to the colours of the timeline.
func (o *protoOut) id(frame uint32) {
	o.event = o.uint(o.event, fieldCorrelate, uint64(frame))
	o.part = o.uint(o.iid(o.part[:0], annotationNameIID, annotationNames, "id"), annotationUint, uint64(frame))
	o.event = o.msg(o.event, fieldAnnotation, o.part)
}

// flow puts an event into the flow of a frame, or ends it.
func (o *protoOut) flow(frame uint32, end bool) {
	field := protowire.Number(fieldFlow)
	if end {
		field = fieldEndFlow
	}
	o.event = protowire.AppendFixed64(protowire.AppendTag(o.event, field, protowire.Fixed64Type), uint64(frame))
}

// head begins a packet.
func (o *protoOut) head() []byte {
	b := o.uint(o.packet[:0], packetSequence, sequence)
	if o.begun {
		return o.uint(b, packetFlags, stateNeeded)
	}
	o.begun = true
	return o.uint(o.uint(b, packetFirst, 1), packetFlags, stateCleared)
}

// finish writes the event.
func (o *protoOut) finish(t sim.Picos) {
	b := o.uint(o.head(), packetTimestamp, uint64(t/1000))
	if len(o.fresh) > 0 {
		b = o.msg(b, packetInterned, o.fresh)
		o.fresh = o.fresh[:0]
	}
	o.packet = o.msg(b, packetEvent, o.event)
	o.write()
}

// track declares a track.
func (o *protoOut) track(uuid, parent uint64, name string, rank int, counter bool) {
	d := o.str(o.uint(nil, trackUUID, uuid), trackName, name)
	if parent != 0 {
		d = o.uint(d, trackParent, parent)
	}
	if counter {
		d = o.msg(d, trackCounter, o.uint(nil, counterUnit, unitBytes))
	} else {
		d = o.uint(d, trackOrdering, orderExplicit)
	}
	d = o.uint(d, trackRank, uint64(rank))
	o.packet = o.msg(o.head(), packetTrack, d)
	o.write()
}

func (o *protoOut) write() {
	if o.err == nil {
		o.trace = o.msg(o.trace[:0], fieldPacket, o.packet)
		_, o.err = o.w.Write(o.trace)
	}
}

func (o *protoOut) flush() error {
	if err := o.w.Flush(); o.err == nil {
		o.err = err
	}
	return o.err
}
