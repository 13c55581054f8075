package file

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// progressInterval is the time between two lines of the log while documents
// are decoded.
const progressInterval = 5 * time.Second

// progress counts the documents of the reading that is under way.
type progress struct {
	done, total atomic.Int64
	log         *slog.Logger
	told        time.Time
}

func (p *progress) begin(total int) {
	p.done.Store(0)
	p.total.Store(int64(total))
	p.told = time.Now()
}

// tell logs how far the reading is, when it has been a while.
func (p *progress) tell() {
	if time.Since(p.told) < progressInterval {
		return
	}
	p.told = time.Now()
	p.log.Info("reading the folder", "documents", p.done.Load(), "of", p.total.Load())
}

// Progress says how far the reading that is under way has come, such as "1200 of
// 20000 documents"; empty before the first. It may be called at any time.
func (f *Folder) Progress() string {
	total := f.progress.total.Load()
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d documents", f.progress.done.Load(), total)
}
