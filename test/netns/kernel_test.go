package netns

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/redirect"
	"sluice.io/sluice/test/apps/echo"
)

// refusesSince is the Linux from which on the kernel's programs can refuse a
// connection with ECONNREFUSED; before, clients get EPERM (see README, Needs).
const refusesSince = "6.1"

// needKernel skips a test on a kernel that is older than the one that Sluice says
// it needs. On all others the test must pass.
func needKernel(t *testing.T) {
	t.Helper()
	release := kernelRelease()
	old, err := olderThan(release, redirect.MinKernel)
	if err != nil {
		t.Fatal(err)
	}
	if old {
		t.Skipf("Linux %s; Sluice needs %s", release, redirect.MinKernel)
	}
}

// refused tells whether err is the kernel's refusal of a connection to a service.
func refused(err error) bool {
	return slices.ContainsFunc(refusals(), func(e syscall.Errno) bool { return errors.Is(err, e) })
}

// refusals are the errors by which this kernel may refuse.
func refusals() []syscall.Errno {
	if old, err := olderThan(kernelRelease(), refusesSince); err == nil && old {
		return []syscall.Errno{syscall.ECONNREFUSED, syscall.EPERM}
	}
	return []syscall.Errno{syscall.ECONNREFUSED}
}

// refusedAtOnce wants connect() itself, on a socket that doesn't wait, to refuse.
func refusedAtOnce(t *testing.T, r echo.SockReport) {
	t.Helper()
	named := func(e syscall.Errno) bool { return unix.ErrnoName(e) == r.Err }
	if r.Call != "connect" || !slices.ContainsFunc(refusals(), named) {
		t.Errorf("%+v, want connect to refuse at once", r)
	}
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Release[:])
}

// olderThan compares the first two numbers of kernel releases.
func olderThan(release, minimum string) (bool, error) {
	have, err := version(release)
	if err != nil {
		return false, err
	}
	want, err := version(minimum)
	if err != nil {
		return false, err
	}
	return have[0] < want[0] || have[0] == want[0] && have[1] < want[1], nil
}

func version(release string) (v [2]int, err error) {
	if _, err := fmt.Sscanf(release, "%d.%d", &v[0], &v[1]); err != nil {
		return v, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return v, nil
}

// TestOlderThan proves the comparison that lets tests be skipped.
func TestOlderThan(t *testing.T) {
	for _, tc := range []struct {
		release, minimum string
		want             bool
	}{
		{"5.14.0-70.el9", "5.15", true},
		{"4.19.0", "5.15", true},
		{"5.15.0-generic", "5.15", false},
		{"5.100.1", "5.15", false},
		{"6.1.0-13-amd64", "5.15", false},
	} {
		if got, err := olderThan(tc.release, tc.minimum); err != nil || got != tc.want {
			t.Errorf("%s older than %s: %t, %v, want %t", tc.release, tc.minimum, got, err, tc.want)
		}
	}
	if _, err := olderThan("custom", "5.15"); err == nil {
		t.Error("a release without numbers is compared")
	}
}
