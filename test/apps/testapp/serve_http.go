package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"sluice.io/sluice/test/apps/echo"
)

type connKey struct{}

// http serves HTTP/1.1, HTTP/2 with prior knowledge, and WebSocket. What a
// request asks for by its path:
//
//	/status/CODE             answers with that code
//	/delay/DURATION          answers after that time
//	/flaky/KEY/N/CODE        answers the first N requests with CODE
//	/reset/KEY/N             closes the connection of the first N without an answer
//	/stream/N/INTERVAL       answers with N lines, one each interval
//	/count/KEY               tells how many requests had the header X-Key: KEY
//
// Every other path is answered with an echo.Seen. A request header
// "Test-Reply: name=value" adds a header to the answer. A server that was started
// as a slow one answers all but /count after its time.
func (s *server) http(addr string) (part, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return part{}, err
	}
	srv := s.httpServer()
	return part{
		serve: func() error { return srv.Serve(l) },
		stop:  func() { _ = srv.Close() },
	}, nil
}

// https serves the same over TLS.
func (s *server) https(addr string) (part, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return part{}, err
	}
	srv := s.httpServer()
	return part{
		serve: func() error { return srv.ServeTLS(l, s.cert, s.key) },
		stop:  func() { _ = srv.Close() },
	}, nil
}

func (s *server) httpServer() *http.Server {
	p := &http.Protocols{}
	p.SetHTTP1(strings.Contains(s.protos, "h1"))
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(strings.Contains(s.protos, "h2c"))
	var conns atomic.Int64
	return &http.Server{
		Handler:           s.httpMux(),
		Protocols:         p,
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conns.Add(1))
		},
	}
}

func (s *server) httpMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.echo)
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, number(r, "code", http.StatusBadRequest))
	})
	mux.HandleFunc("/delay/{time}", func(w http.ResponseWriter, r *http.Request) {
		if wait(r, "time") {
			s.echo(w, r)
		}
	})
	mux.HandleFunc("/flaky/{key}/{n}/{code}", func(w http.ResponseWriter, r *http.Request) {
		if s.counts.next("flaky "+r.PathValue("key")) < number(r, "n", 0) {
			s.answer(w, r, number(r, "code", http.StatusServiceUnavailable))
			return
		}
		s.echo(w, r)
	})
	mux.HandleFunc("/reset/{key}/{n}", func(w http.ResponseWriter, r *http.Request) {
		if s.counts.next("reset "+r.PathValue("key")) < number(r, "n", 0) {
			panic(http.ErrAbortHandler)
		}
		s.echo(w, r)
	})
	mux.HandleFunc("/stream/{n}/{interval}", func(w http.ResponseWriter, r *http.Request) {
		for i := range number(r, "n", 1) {
			if i > 0 && !wait(r, "interval") {
				return
			}
			fmt.Fprintf(w, "%d\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/count/{key}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, s.counts.get("seen "+r.PathValue("key")))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k := r.Header.Get("X-Key"); k != "" {
			s.counts.next("seen " + k)
		}
		if s.slow > 0 && !strings.HasPrefix(r.URL.Path, "/count/") && !waitFor(r, s.slow) {
			return
		}
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			s.websocket(w, r)
			return
		}
		if strings.Contains(r.URL.Path, "//") { // ServeMux would redirect it.
			s.echo(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *server) seen(r *http.Request) *echo.Seen {
	seen := &echo.Seen{
		Name:    s.name,
		Proto:   r.Proto,
		Method:  r.Method,
		Host:    r.Host,
		Path:    r.RequestURI,
		Headers: r.Header,
		Remote:  r.RemoteAddr,
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		seen.Local = a.String()
	}
	seen.Conn, _ = r.Context().Value(connKey{}).(int64)
	return seen
}

func (s *server) echo(w http.ResponseWriter, r *http.Request) { s.answer(w, r, http.StatusOK) }

func (s *server) answer(w http.ResponseWriter, r *http.Request, code int) {
	seen := s.seen(r)
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	seen.Body = string(body)
	for _, h := range r.Header.Values("Test-Reply") {
		name, value, _ := strings.Cut(h, "=")
		w.Header().Add(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-App", s.name)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(seen)
}

// websocket greets with an echo.Seen of the handshake and echoes messages.
func (s *server) websocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	greeting, err := json.Marshal(s.seen(r))
	if err != nil || conn.Write(r.Context(), websocket.MessageText, greeting) != nil {
		return
	}
	for {
		kind, b, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}

func number(r *http.Request, name string, otherwise int) int {
	n, err := strconv.Atoi(r.PathValue(name))
	if err != nil {
		return otherwise
	}
	return n
}

// wait waits for the time in the path, and reports whether the client is still there.
func wait(r *http.Request, name string) bool {
	d, err := time.ParseDuration(r.PathValue(name))
	if err != nil {
		d = 0
	}
	return waitFor(r, d)
}

func waitFor(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}
