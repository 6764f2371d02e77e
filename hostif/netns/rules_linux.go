package netns

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// SetRules puts a table into a namespace, in the place of what there was of it:
// all of it or nothing, between two packets. Connections that have been led
// somewhere stay so.
func SetRules(ns string, r Rules) error {
	what := "set the rules of table " + r.table + " in " + ns
	fd, err := vns.GetFromPath(Path(ns))
	if err != nil {
		return privilege(fmt.Errorf("%s: %w", Path(ns), err), what)
	}
	defer fd.Close()
	c, err := nftables.New(nftables.WithNetNSFd(int(fd)))
	if err != nil {
		return privilege(err, what)
	}
	l := loader{Conn: c, table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: r.table}, sets: map[string]*nftables.Set{}}
	c.AddTable(l.table) // so that there is one to be deleted
	c.DelTable(l.table)
	c.AddTable(l.table)
	if err := l.load(r); err != nil {
		return fmt.Errorf("netns: %s: %w", what, err)
	}
	return privilege(c.Flush(), what)
}

// loader turns Rules into the kernel's messages.
type loader struct {
	*nftables.Conn
	table *nftables.Table
	sets  map[string]*nftables.Set
}

func (l *loader) load(r Rules) error {
	chains := make([]*nftables.Chain, len(r.chains))
	for i := len(r.chains) - 1; i >= 0; i-- { // as in Text
		chains[i] = l.AddChain(l.chain(&r.chains[i]))
	}
	for i := range r.sets {
		s := &r.sets[i]
		x := &nftables.Set{Table: l.table, Name: s.name, KeyType: keyType(s.key), Concatenation: len(s.key) > 1, IsMap: s.verdicts}
		if s.verdicts {
			x.DataType = nftables.TypeVerdict
		}
		var list []nftables.SetElement
		for _, e := range s.elements {
			list = append(list, e.key(s))
		}
		if err := l.AddSet(x, list); err != nil {
			return err
		}
		l.sets[s.name] = x
	}
	for i := len(r.chains) - 1; i >= 0; i-- {
		for _, terms := range r.chains[i].rules {
			var exprs []expr.Any
			for _, t := range terms {
				e, err := l.exprs(t)
				if err != nil {
					return err
				}
				exprs = append(exprs, e...)
			}
			l.AddRule(&nftables.Rule{Table: l.table, Chain: chains[i], Exprs: exprs})
		}
	}
	return nil
}

var hooks = map[string]*nftables.ChainHook{
	"prerouting": nftables.ChainHookPrerouting, "input": nftables.ChainHookInput, "forward": nftables.ChainHookForward,
	"output": nftables.ChainHookOutput, "postrouting": nftables.ChainHookPostrouting,
}

func (l *loader) chain(c *chain) *nftables.Chain {
	x := &nftables.Chain{Name: c.name, Table: l.table}
	if c.hook != "" {
		accept := nftables.ChainPolicyAccept
		x.Type, x.Hooknum, x.Policy = nftables.ChainType(c.kind), hooks[c.hook], &accept
		x.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(c.priority))
	}
	return x
}

var keyTypes = map[string]nftables.SetDatatype{keyAddr: nftables.TypeIPAddr, keyProto: nftables.TypeInetProto, keyPort: nftables.TypeInetService}

func keyType(key []string) nftables.SetDatatype {
	if len(key) == 1 {
		return keyTypes[key[0]]
	}
	var types []nftables.SetDatatype
	for _, k := range key {
		types = append(types, keyTypes[k])
	}
	return nftables.MustConcatSetType(types...)
}

var protocols = map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}

// key is the element as the kernel has it: each part in registers of its own,
// of 4 bytes.
func (e element) key(s *set) nftables.SetElement {
	var x nftables.SetElement
	for _, k := range s.key {
		var part [4]byte
		switch k {
		case keyAddr:
			part = e.addr.As4()
		case keyProto:
			part[0] = protocols[e.proto]
		case keyPort:
			binary.BigEndian.PutUint16(part[:], e.port)
		}
		x.Key = append(x.Key, part[:]...)
	}
	if s.verdicts {
		x.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: e.to}
	}
	return x
}

// Registers: one of 16 bytes, which is also the first of those of 4 bytes that a
// concatenation is put together in.
const (
	reg    = 1
	second = unix.NFT_REG32_00 + 1
	third  = unix.NFT_REG32_00 + 2
)

// Offsets in the headers of IPv4, TCP and UDP.
const (
	saddrOffset = 12
	daddrOffset = 16
	dportOffset = 2
)

func (l *loader) exprs(t term) ([]expr.Any, error) {
	cmp := expr.CmpOpEq
	if t.not {
		cmp = expr.CmpOpNeq
	}
	meta := func(key expr.MetaKey, value []byte) []expr.Any {
		return []expr.Any{&expr.Meta{Key: key, Register: reg}, &expr.Cmp{Op: cmp, Register: reg, Data: value}}
	}
	u32 := func(n uint32) []byte { return binaryutil.NativeEndian.PutUint32(n) }
	mark := func(mask, xor uint32) []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: reg}, bits(u32(mask), u32(xor)),
			&expr.Meta{Key: expr.MetaKeyMARK, Register: reg, SourceRegister: true}}
	}
	switch t.op {
	case opNew:
		return []expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: reg}, bits(u32(expr.CtStateBitNEW), u32(0)),
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: u32(0)}}, nil
	case opProto:
		return meta(expr.MetaKeyL4PROTO, []byte{protocols[t.name]}), nil
	case opSaddr:
		return address(saddrOffset, t.prefix, cmp), nil
	case opDaddr:
		return address(daddrOffset, t.prefix, cmp), nil
	case opDaddrIn:
		return []expr.Any{network(daddrOffset, 4), l.lookup(t.name, false)}, nil
	case opDport:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}, &expr.Cmp{Register: reg, Data: []byte{protocols[t.name]}},
			port(reg), &expr.Cmp{Op: cmp, Register: reg, Data: binaryutil.BigEndian.PutUint16(t.port)}}, nil
	case opOif:
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, t.name)
		return meta(expr.MetaKeyOIFNAME, name), nil
	case opUID:
		return meta(expr.MetaKeySKUID, u32(t.n)), nil
	case opGID:
		return meta(expr.MetaKeySKGID, u32(t.n)), nil
	case opUnmarked:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: reg}, bits(u32(t.n), u32(0)), &expr.Cmp{Register: reg, Data: u32(0)}}, nil
	case opMarkOr:
		return mark(^t.n, t.n), nil
	case opMarkXor:
		return mark(^uint32(0), t.n), nil
	case opService:
		return []expr.Any{network(daddrOffset, 4), &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: second}, port(third), l.lookup(t.name, true)}, nil
	case opNodePort:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}, port(second), l.lookup(t.name, true)}, nil
	case opOneOf:
		return l.oneOf(t.chains)
	case opJump:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: t.name}}, nil
	case opReturn:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}, nil
	case opReject:
		return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: icmpPortUnreachable}}, nil
	case opDrop:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}, nil
	case opMasquerade:
		return []expr.Any{&expr.Masq{FullyRandom: true}}, nil
	case opDNAT:
		return dnat(netip.AddrPortFrom(t.prefix.Addr(), t.port)), nil
	case opRedirect:
		return []expr.Any{&expr.Immediate{Register: reg, Data: binaryutil.BigEndian.PutUint16(t.port)}, &expr.Redir{RegisterProtoMin: reg}}, nil
	}
	panic("netns: a rule has a term that cannot be loaded")
}

// icmpPortUnreachable is ICMP_PORT_UNREACH of linux/icmp.h, what nft's reject
// means by default.
const icmpPortUnreachable = 3

func network(offset, length uint32) *expr.Payload {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func port(to uint32) *expr.Payload {
	return &expr.Payload{DestRegister: to, Base: expr.PayloadBaseTransportHeader, Offset: dportOffset, Len: 2}
}

func bits(mask, xor []byte) *expr.Bitwise {
	return &expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: mask, Xor: xor}
}

// address compares as much of an address as the prefix has, as nft does: by
// bytes where it ends at one.
func address(offset uint32, p netip.Prefix, cmp expr.CmpOp) []expr.Any {
	a := p.Masked().Addr().As4()
	if p.Bits()%8 == 0 {
		n := uint32(p.Bits() / 8)
		return []expr.Any{network(offset, n), &expr.Cmp{Op: cmp, Register: reg, Data: a[:n]}}
	}
	return []expr.Any{network(offset, 4), bits(net.CIDRMask(p.Bits(), 32), make([]byte, 4)), &expr.Cmp{Op: cmp, Register: reg, Data: a[:]}}
}

func (l *loader) lookup(name string, verdict bool) *expr.Lookup {
	s := l.sets[name]
	return &expr.Lookup{SourceRegister: reg, SetName: s.Name, SetID: s.ID, IsDestRegSet: verdict}
}

// oneOf goes to one of chains with equal chances.
func (l *loader) oneOf(chains []string) ([]expr.Any, error) {
	s := &nftables.Set{Table: l.table, Anonymous: true, Constant: true, IsMap: true, KeyType: nftables.TypeInteger, DataType: nftables.TypeVerdict,
		KeyByteOrder: binaryutil.NativeEndian}
	var list []nftables.SetElement
	for i, c := range chains {
		list = append(list, nftables.SetElement{Key: binaryutil.NativeEndian.PutUint32(uint32(i)), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: c}})
	}
	if err := l.AddSet(s, list); err != nil {
		return nil, err
	}
	return []expr.Any{&expr.Numgen{Register: reg, Modulus: uint32(len(chains)), Type: unix.NFT_NG_RANDOM},
		&expr.Lookup{SourceRegister: reg, SetName: s.Name, SetID: s.ID, IsDestRegSet: true}}, nil
}
