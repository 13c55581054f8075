package echo

// SockReport is what the tcp and udp roles of the test program print for each
// connection or step: what the application sees of its own socket, and what the
// server saw.
type SockReport struct {
	// Step is what was done, as it was asked for.
	Step string `json:"step"`
	// Err names the errno of the first call that failed, such as ECONNREFUSED.
	Err string `json:"err,omitempty"`
	// Call is the call that failed.
	Call     string `json:"call,omitempty"`
	Peername string `json:"peername,omitempty"`
	Sockname string `json:"sockname,omitempty"`
	// OriginalDst is what SO_ORIGINAL_DST answers: an errno's name, mostly.
	OriginalDst string `json:"originalDst,omitempty"`
	// From is the source address of a datagram as recvfrom returned it.
	From string `json:"from,omitempty"`
	// Name and Remote are from the server: who it is and whom it sees.
	Name   string `json:"name,omitempty"`
	Remote string `json:"remote,omitempty"`
}
