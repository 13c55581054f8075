package envoy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// rotate moves the log's content to a second file when it has grown too long.
// Envoy keeps its descriptor, which appends: so the content is copied and cut off.
func (c Config) rotate() error {
	info, err := os.Stat(c.logFile())
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < c.MaxLog {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rotate Envoy's log: %w", err)
	}
	from, err := os.Open(c.logFile())
	if err != nil {
		return fmt.Errorf("rotate Envoy's log: %w", err)
	}
	defer from.Close()
	to, err := os.OpenFile(c.logFile()+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("rotate Envoy's log: %w", err)
	}
	_, err = io.Copy(to, io.LimitReader(from, 2*c.MaxLog))
	if err := errors.Join(err, to.Close(), os.Truncate(c.logFile(), 0)); err != nil {
		return fmt.Errorf("rotate Envoy's log: %w", err)
	}
	return nil
}

// lastWords is the end of the log, to tell why Envoy ended.
func (c Config) lastWords() string {
	f, err := os.Open(c.logFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	const most = 600
	b := make([]byte, most)
	n, err := f.ReadAt(b, max(0, info.Size()-most))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(b[:n])
}
