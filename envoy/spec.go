package envoy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"sluice.io/sluice/xds/bootstrap"
)

// spec is what is to run: a process that was started from another one is out of
// date.
type spec struct {
	bootstrap []byte
	args      []string
	// id changes when anything of it does: the binary too.
	id string
}

// spec describes the Envoy that the configuration asks for now.
func (c Config) spec() (spec, error) {
	file, err := bootstrap.JSON(bootstrap.Config{
		NodeID:      c.NodeID,
		AdminSocket: c.adminSocket(),
		XDSSocket:   c.XDSSocket,
		MaxHeap:     c.MaxHeap,
	})
	if err != nil {
		return spec{}, err
	}
	info, err := os.Stat(c.Binary)
	if err != nil {
		return spec{}, fmt.Errorf("look at the Envoy binary: %w", err)
	}
	s := spec{bootstrap: file, args: c.args()}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d %d %d %d", s.args, bootstrap.NodeNetns, c.UID, c.GID, info.Size(), info.ModTime().UnixNano())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		fmt.Fprintf(h, " %d:%d", st.Dev, st.Ino)
	}
	h.Write(file)
	s.id = hex.EncodeToString(h.Sum(nil)[:12])
	return s, nil
}

// args are Envoy's arguments, but for the epoch.
func (c Config) args() []string {
	args := []string{
		"--config-path", c.bootstrapFile(),
		"--base-id", strconv.FormatUint(uint64(c.baseID()), 10),
		"--drain-time-s", seconds(c.DrainTime),
		"--parent-shutdown-time-s", seconds(c.parentTime()),
		"--log-level", c.LogLevel,
	}
	if c.Concurrency > 0 {
		args = append(args, concurrencyFlag, strconv.Itoa(c.Concurrency))
	}
	return args
}

// parentTime is when an Envoy that was replaced ends.
func (c Config) parentTime() time.Duration { return c.DrainTime + 10*time.Second }

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
