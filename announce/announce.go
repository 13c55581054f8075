package announce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sluice.io/sluice/model"
)

// DefaultLink is the name of the link that holds the addresses.
const DefaultLink = "sluice0"

// repeats are the times after which neighbours are told again of an address that
// is new here: a frame may get lost.
var repeats = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second}

// checkInterval is how often Run looks whether all is as it should be: somebody
// else may have changed addresses, or the interface to the neighbours has come up.
const checkInterval = 10 * time.Second

// Config says whose addresses are announced, and where.
type Config struct {
	// Node is this node's name: announcements of other nodes are not ours.
	Node string
	// Link is the name of the dummy link; [DefaultLink] when empty. It is ours
	// alone: Uninstall removes it.
	Link string
	Log  *slog.Logger
}

func (c Config) link() string { return cmp.Or(c.Link, DefaultLink) }

// Announcer keeps the node's addresses in line with the mesh. Its methods are
// safe for concurrent use.
type Announcer struct {
	cfg  Config
	log  *slog.Logger
	node *space
	wake chan struct{}

	mu     sync.Mutex
	wanted map[netip.Addr]bool
	every  time.Duration
	held   map[netip.Addr]*holding
	// begun tells that Sync was called: until then it is not known what is ours.
	begun bool
}

// holding is an address that is the node's.
type holding struct {
	// uplink is the index of the interface to the neighbours, zero if there is none.
	uplink int
	// due are the times at which they are told again.
	due []time.Time
}

// New returns the announcer of the network namespace that the calling thread is
// in. It changes nothing yet.
func New(cfg Config) (*Announcer, error) {
	node, err := openSpace()
	if err != nil {
		return nil, fmt.Errorf("announce addresses: %w", err)
	}
	log := cfg.Log
	if log == nil {
		log = slog.Default()
	}
	return &Announcer{
		cfg: cfg, log: log, node: node, wake: make(chan struct{}, 1), every: checkInterval,
		wanted: map[netip.Addr]bool{}, held: map[netip.Addr]*holding{},
	}, nil
}

// Close gives up the handles. The addresses stay.
func (a *Announcer) Close() error { return a.node.Close() }

// Sync makes the node have exactly the addresses that the mesh announces here,
// disturbing none that it has already.
func (a *Announcer) Sync(m *model.Mesh) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = true
	a.wanted = map[netip.Addr]bool{}
	a.merge(m.Announcements)
	return a.reconcile()
}

// Apply carries out a change. What fails is tried again by Run.
func (a *Announcer) Apply(d *model.Delta) error {
	if len(d.Announcements) == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.merge(d.Announcements)
	return a.reconcile()
}

func (a *Announcer) merge(changed map[netip.Addr]*model.Announcement) {
	for addr, ann := range changed {
		addr = addr.Unmap().WithZone("")
		if ann != nil && (ann.Node == "" || ann.Node == a.cfg.Node) {
			a.wanted[addr] = true
		} else {
			delete(a.wanted, addr)
		}
	}
}

// Run repeats announcements, and mends what others have changed, until ctx is
// done. The addresses stay then.
func (a *Announcer) Run(ctx context.Context) error {
	var said string
	for {
		timer := time.NewTimer(a.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-a.wake:
			timer.Stop()
			continue
		case <-timer.C:
		}
		said = a.tell(a.check(), said)
	}
}

// tell logs an error that was not logged the time before.
func (a *Announcer) tell(err error, said string) string {
	if err == nil {
		return ""
	}
	if err.Error() != said {
		a.log.Warn("addresses of gateways", "err", err)
	}
	return err.Error()
}

func (a *Announcer) check() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		return nil
	}
	return a.reconcile()
}

// pause is the time until something is due.
func (a *Announcer) pause() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.every
	for _, h := range a.held {
		if len(h.due) > 0 {
			next = min(next, time.Until(h.due[0]))
		}
	}
	return max(next, 0)
}

// reconcile makes the node have what is wanted, and tells the neighbours what is
// new or due. It goes on after an error.
func (a *Announcer) reconcile() error {
	var errs []error
	err := a.node.do(func() error {
		s, err := look(a.cfg.link())
		if err != nil {
			return err
		}
		defer s.close()
		for addr := range s.ours {
			if !a.wanted[addr] {
				errs = append(errs, a.drop(s, addr))
			}
		}
		for _, addr := range slices.SortedFunc(keys(a.wanted), netip.Addr.Compare) {
			errs = append(errs, a.hold(s, addr))
		}
		return s.tidy()
	})
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return errors.Join(append(errs, err)...)
}

func (a *Announcer) drop(s *state, addr netip.Addr) error {
	delete(a.held, addr)
	if err := s.remove(addr); err != nil {
		return fmt.Errorf("give up %s: %w", addr, err)
	}
	a.log.Info("address given up", "address", addr)
	return nil
}

// hold makes an address the node's, and tells the neighbours when it is new, or
// was not where they ask for it.
func (a *Announcer) hold(s *state, addr netip.Addr) error {
	h := a.held[addr]
	changed, up, err := s.add(addr)
	if err != nil {
		return fmt.Errorf("take %s: %w", addr, err)
	}
	now := time.Now()
	if h == nil || changed || h.uplink != up.index {
		h = &holding{uplink: up.index, due: []time.Time{now}}
		for _, after := range repeats {
			h.due = append(h.due, now.Add(after))
		}
		a.held[addr] = h
		a.log.Info("address taken", "address", addr, "interface", up.name)
	}
	if len(h.due) == 0 || h.due[0].After(now) {
		return nil
	}
	h.due = h.due[1:]
	if err := a.node.announce(up, addr); err != nil {
		return fmt.Errorf("tell the neighbours of %s: %w", addr, err)
	}
	return nil
}

// Uninstall removes every address that is ours, and the link.
func Uninstall(cfg Config) error {
	a, err := New(cfg)
	if err != nil {
		return err
	}
	a.log = slog.New(slog.DiscardHandler)
	return errors.Join(a.Sync(model.NewMesh()), a.Close())
}
