package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// connectRaw is connect(2) with an address that package unix has no type for:
// AF_UNSPEC, which dissolves a UDP socket's association.
func connectRaw(fd int, sa *unix.RawSockaddrInet4) error {
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(sa)), unsafe.Sizeof(*sa))
	if errno != 0 {
		return errno
	}
	return nil
}
