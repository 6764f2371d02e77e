package xdp

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

const remedies = "run as root, or grant it: setcap cap_net_raw,cap_net_admin,cap_bpf+ep meshnic; or use --mode packet, which needs CAP_NET_RAW only"

// explain turns an error of op on an interface into a failure, by its errno.
func explain(op, iface string, err error) error {
	what := "xdp: " + op + " " + iface
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return failure.Wrap(failure.Privilege, fmt.Errorf("%w: CAP_NET_RAW and CAP_NET_ADMIN: %w", hostif.ErrPrivilege, err), what, remedies)
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ENOPROTOOPT), errors.Is(err, unix.EPROTONOSUPPORT):
		return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: this kernel is built without CONFIG_XDP_SOCKETS: %w", hostif.ErrNotSupported, err), what, "use --mode tap or --mode packet")
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return failure.Wrap(failure.Unexpected, fmt.Errorf("%w: it vanished meanwhile: %w", hostif.ErrNoInterface, err), what, "")
	}
	return failure.Wrap(failure.Unexpected, err, what, "")
}

func explainUMEM(iface string, size int, err error) error {
	if errors.Is(err, unix.ENOBUFS) {
		return failure.Wrap(failure.Privilege, fmt.Errorf("%w: CAP_IPC_LOCK, or a memory lock limit of %d KiB: %w", hostif.ErrPrivilege, size>>10, err),
			"xdp: pin the frame memory of "+iface, "run as root, or ulimit -l unlimited; or use --mode packet")
	}
	return explain("register the frame memory of", iface, err)
}

func explainBind(iface string, waited time.Duration, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return failure.Wrap(failure.Conflict, fmt.Errorf("%w: %w", hostif.ErrBusy, err),
			fmt.Sprintf("xdp: bind queue 0 of %s: another AF_XDP socket has held it for %.1f s", iface, waited.Seconds()),
			"stop the process that holds it (ss --xdp -ap names it where the kernel has XDP_SOCKETS_DIAG), or use --mode packet")
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: %w", hostif.ErrNotSupported, err),
			"xdp: bind queue 0 of "+iface+" in copy mode", "use --mode tap or --mode packet; kernels before 6.6 carry no MTU above 3498")
	case errors.Is(err, unix.ENETDOWN):
		return failure.Wrap(failure.Conflict, err, "xdp: bind queue 0 of "+iface, "ip link set dev "+iface+" up")
	}
	return explain("bind queue 0 of", iface, err)
}

func explainBPF(iface string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return failure.Wrap(failure.Privilege, fmt.Errorf("%w: CAP_BPF (and CAP_NET_ADMIN) outside any user namespace: %w", hostif.ErrPrivilege, err),
			"xdp: load the program for "+iface, remedies)
	case errors.Is(err, ebpf.ErrNotSupported):
		return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: %w", hostif.ErrNotSupported, err), "xdp: load the program for "+iface, "use --mode tap or --mode packet")
	}
	return explain("load the program for", iface, err)
}

// nativeMissing reports whether an attach failed because the driver cannot run
// programs.
func nativeMissing(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, ebpf.ErrNotSupported)
}

func explainAttach(p *port, err error) error {
	what := fmt.Sprintf("xdp: attach to %s (%s, MTU %d)", p.name, p.kind, p.mtu)
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return failure.Wrap(failure.Conflict, fmt.Errorf("%w: another program got there first: %w", hostif.ErrBusy, err), what, "ip -d link show dev "+p.name)
	case errors.Is(err, unix.ERANGE), errors.Is(err, unix.EINVAL):
		return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: the driver refuses this MTU, or its peer's: %w", hostif.ErrNotSupported, err), what,
			fmt.Sprintf("ip link set dev %s mtu %d (on both ends), or use --mode tap or --mode packet", p.name, maxMTUOnePage))
	case nativeMissing(err):
		return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: the driver has no native XDP: %w", hostif.ErrNotSupported, err), what,
			"attach to a veth instead, or use --mode tap or --mode packet")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return failure.Wrap(failure.Privilege, fmt.Errorf("%w: CAP_NET_ADMIN: %w", hostif.ErrPrivilege, err), what, remedies)
	}
	return failure.Wrap(failure.Unexpected, err, what, "")
}
