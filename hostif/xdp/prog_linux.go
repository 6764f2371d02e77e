package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// program is what runs on the interface: it hands frames of queue 0 to the
// socket, and lets the kernel have those of other queues.
type program struct {
	socks *ebpf.Map
	prog  *ebpf.Program
	link  link.Link
}

// rxQueueIndex is the offset of the field in struct xdp_md (linux/bpf.h).
const rxQueueIndex = 16

// loadProgram loads the program with a map that leads to no socket yet, behind
// what comes first.
func loadProgram(frags bool, first asm.Instructions) (_ *program, err error) {
	p := &program{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.socks, err = ebpf.NewMap(&ebpf.MapSpec{Name: "meshnic_xsk", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("create XSKMAP: %w", err)
	}
	spec := &ebpf.ProgramSpec{
		Name: "meshnic_port", Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: append(first,
			asm.LoadMem(asm.R2, asm.R1, rxQueueIndex, asm.Word),
			asm.LoadMapPtr(asm.R1, p.socks.FD()),
			asm.Mov.Imm(asm.R3, 2), // XDP_PASS if the map has no such queue
			asm.FnRedirectMap.Call(),
			asm.Return(),
		),
	}
	if frags {
		spec.Flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	if p.prog, err = ebpf.NewProgram(spec); err != nil {
		return nil, fmt.Errorf("load XDP program: %w", err)
	}
	return p, nil
}

// divert has the program hand frames to socket fd.
func (p *program) divert(fd int) error {
	if err := p.socks.Put(uint32(0), uint32(fd)); err != nil {
		return fmt.Errorf("put socket into XSKMAP: %w", err)
	}
	return nil
}

// release has it leave them to the kernel.
func (p *program) release() error {
	if err := p.socks.Delete(uint32(0)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("take socket out of XSKMAP: %w", err)
	}
	return nil
}

// attach must run on a thread in the interface's namespace. The link ends with
// the process, however it dies.
func (p *program) attach(ifindex int, mode link.XDPAttachFlags) (err error) {
	p.link, err = link.AttachXDP(link.XDPOptions{Program: p.prog, Interface: ifindex, Flags: mode})
	return err
}

func (p *program) close() {
	if p.link != nil {
		_ = p.link.Close()
	}
	if p.prog != nil {
		_ = p.prog.Close()
	}
	if p.socks != nil {
		_ = p.socks.Close()
	}
}
