package resolve

import (
	"fmt"
	"strconv"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
)

// attachTo decides to which ports of a Service a parentRef attaches.
func (r *Resolver) attachTo(p parent, rt *route) attachment {
	s := r.services[p.group.service]
	if s == nil {
		return refuse("Service %s does not exist", p.group.service)
	}
	switch {
	case s.Kind == backend.Headless:
		return refuse("Service %s is headless: clients dial its endpoints, so there is nothing to attach to; give it a cluster address", s.Name)
	case s.Kind == backend.External:
		return refuse("Service %s is of type ExternalName: routes attach to Services with a cluster address only", s.Name)
	case len(s.vips) == 0:
		return refuse("Service %s has no cluster address that clients could dial", s.Name)
	}
	var a attachment
	var unfit []string
	for _, sp := range s.Ports {
		switch {
		case p.port != 0 && p.port != sp.Port, p.section != "" && p.section != sp.Name:
		case sp.Protocol != rt.Protocol():
			unfit = append(unfit, fmt.Sprintf("%d/%s", sp.Port, sp.Protocol))
		case rt.HTTP() && sp.App == model.AppOpaque && p.port == 0 && p.section == "":
			unfit = append(unfit, fmt.Sprintf("%d (its appProtocol is not HTTP; name the port in the parentRef to attach all the same)", sp.Port))
		default:
			a.ports = append(a.ports, sp.PortKey)
		}
	}
	switch {
	case len(a.ports) > 0:
		return a
	case len(unfit) > 0:
		return refuse("%s does not fit port %s of Service %s", rt.Article(), strings.Join(unfit, ", "), s.Name)
	}
	return refuse("Service %s has no port %s", s.Name, p.wish())
}

// wish describes the ports that the parentRef asks for.
func (p parent) wish() string {
	var parts []string
	if p.port != 0 {
		parts = append(parts, strconv.Itoa(int(p.port)))
	}
	if p.section != "" {
		parts = append(parts, "named "+strconv.Quote(p.section))
	}
	if len(parts) == 0 {
		return "at all"
	}
	return strings.Join(parts, " ")
}

func refuse(format string, args ...any) attachment {
	return attachment{refused: finding.New(finding.NoMatchingParent, format, args...)}
}
