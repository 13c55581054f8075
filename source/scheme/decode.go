package scheme

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/builtin"
	"sluice.io/sluice/source/syntax"
)

// Decoder decodes documents. It is safe for concurrent use.
type Decoder struct {
	// Check, when set, tells of an object that is valid by its schema why it cannot
	// be used all the same. It must be safe for concurrent use.
	Check func(*source.Object) error

	schemas schemas
}

// New returns a decoder. Schemas are compiled when a kind is first met.
func New() *Decoder { return &Decoder{schemas: newSchemas()} }

// Decode returns the objects of one document: one, or for a List its items; or
// none when there is nothing in it. The known function may return the item that
// had a digest before, so that unchanged items of a List are not decoded again;
// it may be nil.
func (d *Decoder) Decode(text []byte, format syntax.Format, known func(digest uint64) *Item) []Item {
	items := d.items(text, format, known)
	lines := 1 + bytes.Count(text, []byte("\n"))
	for i := range items {
		items[i].within(lines)
	}
	return items
}

func (d *Decoder) items(text []byte, format syntax.Format, known func(digest uint64) *Item) []Item {
	root, err := syntax.Parse(text, format)
	switch {
	case err != nil:
		return []Item{unparsed(text, format, err)}
	case root == nil:
		return nil
	case isList(root):
		return d.list(root, known)
	}
	return d.add(nil, d.object(root))
}

// within keeps lines to those that there are: for what is missing at a text's
// end, the parser may name the line after it.
func (it *Item) within(lines int) {
	it.Line = min(it.Line, lines)
	for i := range it.Findings {
		it.Findings[i].Line = min(it.Findings[i].Line, lines)
	}
	for i := range it.RuleLines {
		it.RuleLines[i] = min(it.RuleLines[i], lines)
	}
}

// add appends an item, unless there is nothing in it.
func (d *Decoder) add(items []Item, it Item) []Item {
	if it.Object == nil && len(it.Findings) == 0 {
		return items
	}
	return append(items, it)
}

// unparsed is the item of a document that is not even YAML.
func unparsed(text []byte, format syntax.Format, err *syntax.Error) Item {
	it := Item{Line: 1, Findings: []Finding{finding(err)}}
	if format == syntax.YAML {
		g := syntax.Guess(text)
		if k := kinds[g.Kind]; k != nil && g.Name != "" {
			it.Ref = model.ObjectRef{Kind: k.name, Namespace: k.namespace(g.Namespace), Name: g.Name}
			it.About, it.Line = it.Ref, g.Line
		}
	}
	return it
}

func finding(err *syntax.Error) Finding {
	f := Finding{Line: err.Line, Message: err.Message}
	if err.Path != "" {
		f.Message = err.Path + ": " + f.Message
	}
	return f
}

// object decodes one object's tree.
func (d *Decoder) object(root *syntax.Node) Item {
	it := Item{Line: firstLine(root)}
	v, errs := syntax.Value(root)
	for _, err := range errs {
		it.Findings = append(it.Findings, finding(err))
	}
	u, ok := v.(unstructured)
	switch {
	case len(errs) > 0:
		it.Ref = refOf(u)
	case v == nil:
		return it
	case !ok:
		it.fail(root, "", "a document must be a Kubernetes object, is "+describe(v))
	default:
		d.identified(&it, u, root)
	}
	if it.About = it.Ref; it.Ref == (model.ObjectRef{}) {
		it.About = aboutOf(u)
	}
	slices.SortFunc(it.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
	return it
}

// firstLine is the line of a mapping's first key.
func firstLine(root *syntax.Node) int {
	if len(root.Content) > 0 {
		return root.Content[0].Line
	}
	return root.Line
}

func (it *Item) fail(root *syntax.Node, path, message string) {
	if path != "" {
		message = path + ": " + message
	}
	it.Findings = append(it.Findings, Finding{Line: syntax.Line(root, path), Message: message})
}

func (it *Item) failAll(root *syntax.Node, faults []fault) {
	const most = 20
	for i, f := range faults {
		if i == most {
			it.fail(root, "", fmt.Sprintf("and %d more errors", len(faults)-most))
			return
		}
		it.fail(root, f.path, f.message)
	}
}

// identified decodes an object of which apiVersion and kind can be looked at.
func (d *Decoder) identified(it *Item, u unstructured, root *syntax.Node) {
	k, ok := it.kindOf(u, root)
	if !ok {
		return
	}
	it.Ref = refOf(u)
	if !it.namedRight(u, root) {
		return
	}
	obj, faults := d.decode(k, u)
	it.failAll(root, faults)
	if len(faults) > 0 {
		return
	}
	it.Object, it.RuleLines = obj, ruleLines(root)
	d.check(it)
}

// ruleLines are the lines where spec.rules[i], or else spec.listeners[i], start.
func ruleLines(root *syntax.Node) []int {
	spec := syntax.Child(root, "spec")
	rules := cmp.Or(syntax.Child(spec, "rules"), syntax.Child(spec, "listeners"))
	if rules == nil {
		return nil
	}
	lines := make([]int, 0, len(rules.Content))
	for _, rule := range rules.Content {
		lines = append(lines, rule.Line)
	}
	return lines
}

// namedRight checks what must hold before an object can be told from others.
func (it *Item) namedRight(u unstructured, root *syntax.Node) bool {
	meta, ok := u["metadata"].(map[string]any)
	if !ok && u["metadata"] != nil {
		it.fail(root, "metadata", "must be a mapping, is "+describe(u["metadata"]))
		return false
	}
	_, ok = it.text(root, meta, "metadata.name", "name", "")
	return ok
}

// text reads a field that every object has.
func (it *Item) text(root *syntax.Node, m map[string]any, path, name, hint string) (string, bool) {
	text, ok := m[name].(string)
	switch {
	case ok && text != "":
		return text, true
	case ok || m[name] == nil:
		it.fail(root, path, "is missing: every object needs apiVersion, kind and metadata.name"+hint)
	default:
		it.fail(root, path, "must be text, is "+describe(m[name])+quoteHint(m[name]))
	}
	return "", false
}

// refOf reads the object's name leniently; the zero value when it has none of a
// kind that is read.
func refOf(u unstructured) model.ObjectRef {
	name, _ := u["kind"].(string)
	k := kinds[name]
	meta, _ := u["metadata"].(map[string]any)
	ref := model.ObjectRef{}
	if k != nil && meta != nil {
		ref.Name, _ = meta["name"].(string)
		ref.Namespace, _ = meta["namespace"].(string)
	}
	if ref.Name == "" {
		return model.ObjectRef{}
	}
	ref.Kind, ref.Namespace = k.name, k.namespace(ref.Namespace)
	return ref
}

// aboutOf reads what an object calls itself, whatever its kind; the zero value
// unless it has both a kind and a name. Nothing is made of a namespace that is not
// given, as the object may be of a kind that has none.
func aboutOf(u unstructured) model.ObjectRef {
	meta, _ := u["metadata"].(map[string]any)
	kind, _ := u["kind"].(string)
	name, namespace := word(meta["name"]), word(meta["namespace"])
	if kind = word(kind); kind == "" || name == "" {
		return model.ObjectRef{}
	}
	if k := kinds[kind]; k != nil {
		namespace = k.namespace(namespace)
	}
	return model.ObjectRef{Kind: kind, Namespace: namespace, Name: name}
}

// word is a value as a part of a name in a message; empty when it is no such part.
func word(v any) string {
	switch v.(type) {
	case string, bool, int64, float64:
	default:
		return ""
	}
	const most = 253
	text := fmt.Sprint(v)
	if len(text) > most || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return ""
	}
	return text
}

// decode validates, defaults and types an object whose kind and name are known.
func (d *Decoder) decode(k *kind, u unstructured) (source.KubeObject, []fault) {
	_, version := groupOf(u["apiVersion"].(string))
	delete(u, "status")
	meta := u["metadata"].(map[string]any)
	delete(meta, "managedFields")
	if ns := meta["namespace"]; !k.cluster && (ns == nil || ns == "") {
		meta["namespace"] = metav1.NamespaceDefault
	}
	faults := checkType(meta, reflect.TypeFor[metav1.ObjectMeta](), "metadata")
	var obj source.KubeObject
	if k.plural != "" {
		faults = append(faults, d.validate(k, version, u)...)
		u["apiVersion"] = k.apiVersion()
	} else {
		obj = k.new()
		faults = append(faults, checkType(withoutMeta(u), reflect.TypeOf(obj).Elem(), "")...)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return finish(k, u)
}

func withoutMeta(u unstructured) unstructured {
	rest := make(unstructured, len(u))
	for name, v := range u {
		if name != "metadata" {
			rest[name] = v
		}
	}
	return rest
}

// finish makes the typed object and checks what its type alone does not say.
func finish(k *kind, u unstructured) (source.KubeObject, []fault) {
	obj := k.new()
	if err := typed(u, obj); err != nil {
		return nil, []fault{{message: fmt.Sprintf("does not fit %s: %v", k.name, err)}}
	}
	found := builtin.Metadata(obj, k.name, !k.cluster)
	if k.finish != nil {
		found = append(found, k.finish(obj)...)
	}
	var faults []fault
	for _, f := range found {
		faults = append(faults, fault{path: f.Path, message: strings.TrimSpace(f.Message)})
	}
	return obj, faults
}
