package echo

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// WebSocket is an open WebSocket to an echo server.
type WebSocket struct {
	conn *websocket.Conn
	// Seen is the server's report of the handshake.
	Seen *Seen
}

// DialWebSocket opens a WebSocket to a ws:// URL over client.
func DialWebSocket(ctx context.Context, client *http.Client, url string, header http.Header) (*WebSocket, error) {
	// A client's own timeout would end the WebSocket too.
	own := &http.Client{Transport: client.Transport}
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: own, HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	_, b, err := conn.Read(ctx)
	if err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	seen, err := ParseSeen(b)
	if err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	return &WebSocket{conn: conn, Seen: seen}, nil
}

// Say sends a text message and returns the server's echo of it.
func (w *WebSocket) Say(ctx context.Context, text string) (string, error) {
	if err := w.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return "", err
	}
	_, b, err := w.conn.Read(ctx)
	return string(b), err
}

// Close ends the WebSocket.
func (w *WebSocket) Close() error { return w.conn.Close(websocket.StatusNormalClosure, "") }
