package redirect

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The part of io_uring(7) that connect needs.
const (
	ringConnect = 16     // IORING_OP_CONNECT
	ringAsync   = 1 << 4 // IOSQE_ASYNC: by a worker thread of the kernel
	ringSQPoll  = 1 << 1 // IORING_SETUP_SQPOLL: by a thread that polls
)

type ringParams struct {
	sqEntries, cqEntries, flags, sqCPU, sqIdle, features, wq uint32
	_                                                        [3]uint32
	sq                                                       struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

type ringEntry struct {
	op, flags  uint8
	_          uint16
	fd         int32
	size, addr uint64
	_          [40]byte
}

// TestConnectByRing: io_uring connects without connect(), and on other threads.
func TestConnectByRing(t *testing.T) {
	cfg := testConfig(t)
	client := newClient(t, "127.0.0.2:8080")
	attackMesh(t, cfg, client)
	startEnvoy(t, client, cfg)
	for name, c := range map[string]struct {
		setup uint32
		entry uint8
	}{"by the caller": {}, "by a worker": {entry: ringAsync}, "by the polling thread": {setup: ringSQPoll}} {
		for vip, want := range map[string]string{"10.96.0.1": "127.0.0.2:8080", "10.96.0.2": "envoy 10.96.0.2:80"} {
			var line string
			var err error
			client.do(func() { line, err = ringDial(vip, c.setup, c.entry) })
			if err != nil || line != want {
				t.Errorf("%s, to %s: led to %q, %v", name, vip, line, err)
			}
		}
	}
}

func ringDial(vip string, setup uint32, entryFlags uint8) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	params := ringParams{flags: setup, sqIdle: 1000}
	ring, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return "", fmt.Errorf("io_uring_setup: %w", errno)
	}
	defer unix.Close(int(ring))
	const rw = unix.PROT_READ | unix.PROT_WRITE
	// One mapping holds both rings (IORING_FEAT_SINGLE_MMAP, Linux 5.4).
	rings, err := unix.Mmap(int(ring), 0, int(max(params.sq.array+4, params.cq.cqes+32)), rw, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return "", err
	}
	defer unix.Munmap(rings)
	entries, err := unix.Mmap(int(ring), 0x10000000, int(unsafe.Sizeof(ringEntry{})), rw, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return "", err
	}
	defer unix.Munmap(entries)
	sa := &unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: inet4(vip, 0).Addr, Port: 80 << 8}
	var pin runtime.Pinner
	pin.Pin(sa)
	defer pin.Unpin()
	*(*ringEntry)(unsafe.Pointer(&entries[0])) = ringEntry{
		op: ringConnect, flags: entryFlags, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(sa))), size: unix.SizeofSockaddrInet4,
	}
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&rings[params.sq.tail])), 1)
	const wakeAndWait = 1 | 2 // IORING_ENTER_GETEVENTS, IORING_ENTER_SQ_WAKEUP
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, ring, 1, 1, wakeAndWait, 0, 0); errno != 0 {
		return "", fmt.Errorf("io_uring_enter: %w", errno)
	}
	if atomic.LoadUint32((*uint32)(unsafe.Pointer(&rings[params.cq.tail]))) != 1 {
		return "", errors.New("nothing is complete")
	}
	if result := *(*int32)(unsafe.Pointer(&rings[params.cq.cqes+8])); result != 0 {
		return "", unix.Errno(-result)
	}
	return readLine(fd)
}
