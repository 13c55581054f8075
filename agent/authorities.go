package agent

import "os"

// authorityFiles are where distributions keep the certificate authorities of the
// system, in one file.
var authorityFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch, our image
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // newer Fedora, RHEL
	"/etc/ssl/cert.pem",                                 // older Alpine
}

// systemAuthorities is the file of this machine, or container: Envoy's is made of
// the same image. Where there is none Envoy will say so of what needs it.
func systemAuthorities(files []string) string {
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			return f
		}
	}
	return files[0]
}
