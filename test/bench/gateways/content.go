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

// content is what a case has in the API server, for whichever product: routes
// with their Services, and the pods behind them; but no Gateways.
type content struct {
	Case
	cluster *cluster.Cluster
	api     *api
}

// fill writes the content.
func (c *content) fill(ctx context.Context) error {
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
	var addrs []netip.Addr
	for _, p := range pods {
		addr, err := netip.ParseAddr(p.Status.PodIP)
		if err != nil {
			return fmt.Errorf("address of pod %s: %w", p.Metadata.Name, err)
		}
		addrs = append(addrs, addr)
	}
	if err := c.api.create(ctx, routesPath, routeObject(steadyRoute, 0, "echo", firstMark)); err != nil {
		return err
	}
	return each(ctx, 0, c.Routes, func(ctx context.Context, i int) error {
		name := numbered(i)
		for _, o := range []struct{ path, body string }{
			{servicesPath, serviceObject(name)},
			{slicesPath, sliceObject(name, addrs)},
			{routesPath, routeObject(name, c.gatewayOf(i), name, firstMark)},
		} {
			if err := c.api.create(ctx, o.path, o.body); err != nil {
				return err
			}
		}
		return nil
	})
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

// reset makes the routes what they were at first, without statuses, of which the
// last product left its own.
func (c *content) reset(ctx context.Context) error {
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	if err := c.api.get(ctx, routesPath, &list); err != nil {
		return err
	}
	known := map[string]string{steadyRoute: changed("echo", firstMark)}
	for i := range c.Routes {
		known[numbered(i)] = changed(numbered(i), firstMark)
	}
	return each(ctx, 0, len(list.Items), func(ctx context.Context, i int) error {
		name := list.Items[i].Metadata.Name
		path := routesPath + "/" + name
		if known[name] == "" {
			return c.api.remove(ctx, path) // of a trial that failed
		}
		return errors.Join(c.api.patch(ctx, path, known[name]), c.api.patch(ctx, path+"/status", `{"status": {"parents": []}}`))
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
