package certmanager

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"sluice.io/sluice/identity"
)

// lookAgain is the pause before looking again at a request whose watch has ended.
const lookAgain = time.Second

// errGone says that somebody has removed a request before it was answered.
var errGone = errors.New("the CertificateRequest was removed before it was answered")

// await waits until a request has a certificate, or will never have one.
func (a *Authority) await(ctx context.Context, r *CertificateRequest, progress func(string)) ([]byte, error) {
	for {
		end, err := a.watch(ctx, r, progress)
		if end != nil {
			return end.certificate, end.err
		}
		if r, err = a.again(ctx, r, err); err != nil {
			return nil, err
		}
	}
}

// end is what has become of a request: a certificate, or the reason why there
// will be none.
type end struct {
	certificate []byte
	err         error
}

// outcome reads what has become of a request; nil when nothing has yet.
func (a *Authority) outcome(r *CertificateRequest, progress func(string)) *end {
	s := &r.Status
	ready := s.Condition(Ready)
	switch {
	case s.Is(Denied):
		return &end{err: fmt.Errorf("%w: CertificateRequest %s: %s", identity.ErrDenied, r.Name, s.Condition(Denied).Message)}
	case s.Is(InvalidRequest):
		return &end{err: fmt.Errorf("CertificateRequest %s is invalid to issuer %s: %s", r.Name, a.opts.Issuer, s.Condition(InvalidRequest).Message)}
	case ready.Reason == ReasonFailed:
		return &end{err: fmt.Errorf("issuer %s has failed at CertificateRequest %s: %s", a.opts.Issuer, r.Name, ready.Message)}
	case s.Is(Ready) && len(s.Certificate) > 0:
		return &end{certificate: s.Certificate}
	}
	progress(a.waitsFor(r))
	return nil
}

// waitsFor says what a request waits for.
func (a *Authority) waitsFor(r *CertificateRequest) string {
	if !r.Status.Is(Approved) {
		return fmt.Sprintf("approval of CertificateRequest %s/%s: the controller of Sluice gives it, if it runs and has the right to approve for %s", r.Namespace, r.Name, a.opts.Issuer)
	}
	s := fmt.Sprintf("issuer %s to sign CertificateRequest %s/%s: look whether the issuer is ready", a.opts.Issuer, r.Namespace, r.Name)
	if m := r.Status.Condition(Ready).Message; m != "" {
		s += "; it says: " + m
	}
	return s
}

// watch waits for the end of a request. An error means that the watch is over, or
// ctx is, and nothing is known of the request.
func (a *Authority) watch(ctx context.Context, r *CertificateRequest, progress func(string)) (*end, error) {
	if e := a.outcome(r, progress); e != nil {
		return e, nil
	}
	w, err := a.requests.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", r.Name).String(), ResourceVersion: r.ResourceVersion,
	})
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case event, open := <-w.ResultChan():
			if !open {
				return nil, errors.New("the watch ended")
			}
			if e, err := a.take(event, r, progress); e != nil || err != nil {
				return e, err
			}
		}
	}
}

// take takes in what a watch tells of a request.
func (a *Authority) take(event watch.Event, r *CertificateRequest, progress func(string)) (*end, error) {
	switch event.Type {
	case watch.Deleted:
		return &end{err: errGone}, nil
	case watch.Error:
		return nil, apierrors.FromObject(event.Object)
	case watch.Added, watch.Modified:
		u, ok := event.Object.(*unstructured.Unstructured)
		if !ok || u.GetUID() != r.UID {
			return &end{err: errGone}, nil
		}
		now, _, err := Decode(u)
		if err != nil {
			return nil, err
		}
		*r = *now
		return a.outcome(r, progress), nil
	}
	return nil, nil
}

// again reads a request whose watch has ended, until that works: the API server
// may be away for a while.
func (a *Authority) again(ctx context.Context, r *CertificateRequest, why error) (*CertificateRequest, error) {
	for {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("waited too long for %s (last seen: %w)", a.waitsFor(r), why)
			}
			return nil, ctx.Err()
		case <-time.After(lookAgain):
		}
		u, err := a.requests.Get(ctx, r.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && u.GetUID() != r.UID:
			return nil, errGone
		case err != nil:
			why = err
		default:
			now, _, err := Decode(u)
			return now, err
		}
	}
}
