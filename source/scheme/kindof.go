package scheme

import (
	"fmt"
	"slices"
	"strings"

	"sluice.io/sluice/source/syntax"
)

// kindOf looks up the object's kind. When it is none that is read, it says so:
// with a warning when the object is somebody else's concern, with an error when
// it looks like a mistake.
func (it *Item) kindOf(u unstructured, root *syntax.Node) (*kind, bool) {
	name, ok := it.text(root, u, "kind", "kind", "")
	if !ok {
		return nil, false
	}
	k, hint := kinds[name], ""
	if k != nil {
		hint = "; the apiVersion of " + name + " is " + k.apiVersion()
	}
	apiVersion, ok := it.text(root, u, "apiVersion", "apiVersion", hint)
	if !ok {
		it.Ref = refOf(u)
		return nil, false
	}
	group, version := groupOf(apiVersion)
	switch {
	case k == nil:
		it.strange(group, name, apiVersion, root)
		return nil, false
	case group != k.group && !mistaken(group, k.group):
		it.ignore(root, apiVersion+" "+name+" is ignored: "+name+" is read as "+k.apiVersion())
		return nil, false
	case group != k.group || !slices.Contains(k.versions(), version):
		it.Ref = refOf(u)
		it.fail(root, "apiVersion", fmt.Sprintf("%q has no %s: it is in %s", apiVersion, name, k.apiVersion()))
		return nil, false
	}
	return k, true
}

// strange is for kinds that are not read at all.
func (it *Item) strange(group, name, apiVersion string, root *syntax.Node) {
	if slices.Contains(unserved[group], name) {
		it.ignore(root, apiVersion+" "+name+" is ignored: sluice run does not serve it yet")
		return
	}
	var near []string
	for _, k := range kinds {
		if k.group == group {
			near = append(near, k.name)
		}
	}
	if hint := suggest(name, near); hint != "" {
		it.fail(root, "kind", fmt.Sprintf("%s has no kind %q%s", apiVersion, name, hint))
		return
	}
	it.ignore(root, apiVersion+" "+name+" is ignored: not a kind that Sluice reads")
}

func (it *Item) ignore(root *syntax.Node, message string) {
	it.Findings = append(it.Findings, Finding{Line: firstLine(root), Message: message, Warning: true})
}

// mistaken tells a mistyped or forgotten group from somebody else's.
func mistaken(group, meant string) bool {
	return group == "" && meant != "" || group != "" && distance(group, meant) <= 3 ||
		strings.EqualFold(group, meant)
}
