package gateways

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"sluice.io/sluice/test/cluster"
)

// pause is between looks at what the cluster does in its own time.
const pause = 200 * time.Millisecond

// content is what the API server has, for whichever product: routes with their
// Services, and the pods behind them; but no Gateways.
type content struct {
	Case    // What there is now.
	cluster *cluster.Cluster
	api     *api

	pods     []netip.Addr
	services int // how many Services there are, with their EndpointSlices
}

// begin makes the namespace, and the pods. What an earlier run left goes.
func (c *content) begin(ctx context.Context) error {
	if err := c.empty(ctx); err != nil {
		return err
	}
	err := c.api.create(ctx, "/api/v1/namespaces", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q}}`, namespace))
	if err != nil {
		return err
	}
	if _, err := c.cluster.KubectlWith(ctx, backends(), "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	for _, name := range []string{"echo", rolling} {
		if err := c.rolledOut(ctx, name); err != nil {
			return err
		}
	}
	pods, err := c.api.pods(ctx, namespace, "app=echo")
	if err != nil {
		return err
	}
	for _, p := range pods {
		addr, err := netip.ParseAddr(p.Status.PodIP)
		if err != nil {
			return fmt.Errorf("address of pod %s: %w", p.Metadata.Name, err)
		}
		c.pods = append(c.pods, addr)
	}
	return nil
}

// become adds and removes what makes the content that of a case.
func (c *content) become(ctx context.Context, want Case) error {
	if c.Gateways != want.Gateways || want.Routes < c.Routes { // other parents and hosts
		if err := c.api.remove(ctx, routesPath); err != nil {
			return err
		}
		if err := c.api.create(ctx, routesPath, routeObject(steadyRoute, 0, "echo", firstMark)); err != nil {
			return err
		}
		c.Case = Case{Gateways: want.Gateways}
	}
	err := errors.Join(
		each(ctx, c.services, want.Routes, func(ctx context.Context, i int) error {
			return errors.Join(c.api.create(ctx, servicesPath, serviceObject(numbered(i))), c.api.create(ctx, slicesPath, sliceObject(numbered(i), c.pods)))
		}),
		each(ctx, want.Routes, c.services, func(ctx context.Context, i int) error {
			return errors.Join(c.api.remove(ctx, servicesPath+"/"+numbered(i)), c.api.remove(ctx, slicesPath+"/"+numbered(i)))
		}),
		each(ctx, c.Routes, want.Routes, func(ctx context.Context, i int) error {
			return c.api.create(ctx, routesPath, routeObject(numbered(i), want.gatewayOf(i), numbered(i), firstMark))
		}),
	)
	c.Case, c.services = want, want.Routes
	return err
}

// rolledOut waits until a Deployment is as it should be, with no old pod left.
func (c *content) rolledOut(ctx context.Context, name string) error {
	_, err := c.cluster.Kubectl(ctx, "-n", namespace, "rollout", "status", "deployment/"+name, "--timeout", startup.String())
	if err != nil {
		return err
	}
	return eventually(ctx, "old pods of "+name+" to go", startup, pause, func() error {
		pods, err := c.api.pods(ctx, namespace, "app="+name)
		if err == nil && len(pods) != 2 {
			err = fmt.Errorf("there are %d", len(pods))
		}
		return err
	})
}

// createGateways makes all Gateways, of a class.
func (c *content) createGateways(ctx context.Context, class string) error {
	return each(ctx, 0, c.Gateways, func(ctx context.Context, i int) error {
		return c.api.create(ctx, gatewaysPath, c.gatewayObject(i, class))
	})
}

// removeGateways removes all Gateways, and waits until they have gone.
func (c *content) removeGateways(ctx context.Context) error {
	if err := c.api.remove(ctx, gatewaysPath); err != nil {
		return err
	}
	return eventually(ctx, "the Gateways to go", startup, pause, func() error {
		var list struct{ Items []struct{} }
		err := c.api.get(ctx, gatewaysPath, &list)
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d are there", len(list.Items))
		}
		return err
	})
}

// routeList is what is looked at of routes.
type routeList struct {
	Items []struct {
		Metadata struct{ Name string }
		Spec     struct {
			Rules []struct {
				Filters []struct {
					ResponseHeaderModifier struct{ Set []struct{ Value string } }
				}
			}
		}
		Status struct{ Parents []struct{} }
	}
}

// reset makes the routes what they were at first, without statuses, of which the
// last product left its own.
func (c *content) reset(ctx context.Context) error {
	var list routeList
	if err := c.api.get(ctx, routesPath, &list); err != nil {
		return err
	}
	services := map[string]string{steadyRoute: "echo"}
	for i := range c.Routes {
		services[numbered(i)] = numbered(i)
	}
	return each(ctx, 0, len(list.Items), func(ctx context.Context, i int) error {
		route := list.Items[i]
		path, service := routesPath+"/"+route.Metadata.Name, services[route.Metadata.Name]
		if service == "" {
			return c.api.remove(ctx, path) // of a trial that failed
		}
		var err error
		if route.Spec.Rules[0].Filters[0].ResponseHeaderModifier.Set[0].Value != firstMark {
			err = c.api.patch(ctx, path, changed(service, firstMark))
		}
		if len(route.Status.Parents) > 0 {
			err = errors.Join(err, c.api.patch(ctx, path+"/status", `{"status": {"parents": []}}`))
		}
		return err
	})
}

// empty removes the content.
func (c *content) empty(ctx context.Context) error {
	// Faster than the namespace's own end, object by object.
	for _, path := range []string{routesPath, slicesPath} {
		if err := c.api.remove(ctx, path); err != nil && !absent(err) {
			return err
		}
	}
	path := "/api/v1/namespaces/" + namespace
	if err := c.api.remove(ctx, path); err != nil && !absent(err) {
		return err
	}
	return eventually(ctx, "the namespace to go", 10*time.Minute, pause, func() error {
		err := c.api.do(ctx, http.MethodGet, path, "", nil)
		if absent(err) {
			return nil
		}
		return errors.Join(errors.New("it is there"), err)
	})
}
