package tcx

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// Link is a redirect in force.
type Link struct {
	prog *ebpf.Program
	link link.Link
}

// Open puts r in force. It must run on a thread in the interfaces' namespace. Programs
// that others have at the hook come first, and may keep a frame.
func Open(r Redirect) (_ *Link, err error) {
	flags, where := int32(0), ebpf.AttachTCXEgress
	if r.As == Ingress {
		flags = unix.BPF_F_INGRESS
	}
	if r.At == Ingress {
		where = ebpf.AttachTCXIngress
	}
	what := fmt.Sprintf("tcx: redirect interface %d to %d", r.From, r.To)
	l := &Link{}
	l.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "meshnic_way", Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(r.To)),
			asm.Mov.Imm(asm.R2, flags),
			asm.FnRedirect.Call(), // TC_ACT_REDIRECT, which tcx knows as TCX_REDIRECT
			asm.Return(),
		},
	})
	if err != nil {
		return nil, explain(what, err)
	}
	l.link, err = link.AttachTCX(link.TCXOptions{Program: l.prog, Interface: r.From, Attach: where, Anchor: link.Tail()})
	if err != nil {
		l.prog.Close()
		return nil, explain(what, err)
	}
	return l, nil
}

// Close ends the redirect. It may be called more than once.
func (l *Link) Close() error {
	if l == nil || l.link == nil {
		return nil
	}
	err := errors.Join(l.link.Close(), l.prog.Close())
	l.link = nil
	return err
}

func explain(what string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return failure.Wrap(failure.Privilege, fmt.Errorf("%w: CAP_BPF and CAP_NET_ADMIN: %w", hostif.ErrPrivilege, err), what, "run as root (sudo)")
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: %w", hostif.ErrNotSupported, err), what, "it needs Linux 6.6 with CONFIG_NET_XGRESS")
	}
	return failure.Wrap(failure.Unexpected, err, what, "")
}
