package redirect

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// play is the main function of the processes that tests start.
func play(role string) int {
	var err error
	switch role {
	case "envoy":
		err = playEnvoy()
	case "gateway":
		err = playGateway(os.Args[1], os.Args[2])
	case "dial":
		err = playDial(os.Args[1], os.Args[2])
	case "sluice":
		err = playSluice()
	case "bind":
		err = playBind(os.Args[1])
	default:
		err = fmt.Errorf("no role %s", role)
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// playEnvoy listens where Envoy does, and tells each client the original
// destination that it got, or the error.
func playEnvoy() error {
	var listeners []net.Listener
	for _, addr := range []string{"127.0.0.1:15001", "[::1]:15001"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	fmt.Println("ready")
	go accept(listeners[0])
	accept(listeners[1])
	return nil
}

func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			fmt.Fprintln(c, "envoy", originalDst(c.(*net.TCPConn)))
			_, _ = io.Copy(c, c)
		}()
	}
}

// originalDst asks like Envoy's original_dst filter.
func originalDst(c *net.TCPConn) string {
	level := unix.SOL_IP
	if c.LocalAddr().(*net.TCPAddr).IP.To4() == nil {
		level = unix.SOL_IPV6
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err.Error()
	}
	var (
		b     [128]byte
		size  = uint32(len(b))
		errno unix.Errno
	)
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), 80,
			uintptr(unsafe.Pointer(&b)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil {
		return err.Error()
	}
	if errno != 0 {
		return errno.Error()
	}
	port := binary.BigEndian.Uint16(b[2:])
	switch {
	case size == 16 && b[0] == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port).String()
	case size == 28 && b[0] == unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port).String()
	}
	return fmt.Sprintf("odd answer of %d bytes: %x", size, b[:size])
}

// playDial connects and prints what the server says.
func playDial(network, addr string) error {
	c, err := net.Dial(network, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	line, err := firstLine(c)
	if err != nil {
		return err
	}
	fmt.Println(line)
	return nil
}

// playSluice opens the data path that it reads of on its input, and changes the
// endpoints of the first backend without end, until it is killed.
func playSluice() error {
	var order sluiceOrder
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		return err
	}
	d, err := Open(order.Config)
	if err != nil {
		return err
	}
	mesh := model.NewMesh()
	mesh.Apply(order.Mesh.delta())
	if err := d.Sync(mesh); err != nil {
		return err
	}
	fmt.Println("ready")
	all := order.Mesh.Endpoints[0]
	for i := 0; ; i++ {
		some := &model.Endpoints{Key: all.Key}
		for j, e := range all.Endpoints {
			if j == i%len(all.Endpoints) || (i>>j)&1 == 1 {
				some.Endpoints = append(some.Endpoints, e)
			}
		}
		if err := d.Apply(&model.Delta{Endpoints: map[model.BackendKey]*model.Endpoints{all.Key: some}}); err != nil {
			return err
		}
	}
}

// sluiceOrder tells playSluice what to do.
type sluiceOrder struct {
	Config Config
	Mesh   script
}

func playBind(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println("bound")
	return nil
}
