package echo

import (
	"net/http"
	"time"
)

// NewHTTPClient returns a client that speaks HTTP/1.1, or with h2c HTTP/2 with
// prior knowledge, over connections made by dial. It follows no redirects.
func NewHTTPClient(dial DialFunc, h2c bool) *http.Client {
	p := &http.Protocols{}
	p.SetHTTP1(!h2c)
	p.SetUnencryptedHTTP2(h2c)
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			DialContext:         dial,
			Protocols:           p,
			MaxIdleConnsPerHost: 64,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
