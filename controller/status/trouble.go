package status

import (
	"maps"
	"slices"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source/kube"
)

// troubled is a wish that says why objects cannot be made: of a Gateway or ListenerSet
// and the listeners that wait for them, and of listeners with whose copies there is
// trouble, whether they are served or not. What it is made from stays.
func (w Wish) troubled(why map[model.ObjectRef]string) Wish {
	if len(why) == 0 || w.Status == nil {
		return w
	}
	all := wordsOf(why, func(object model.ObjectRef) bool { return !isCopy(object) })
	now := *w.Status
	now.Conditions = explained(now.Conditions, all, "")
	now.Listeners = slices.Clone(now.Listeners)
	for i := range now.Listeners {
		l := &now.Listeners[i]
		own := wordsOf(why, func(object model.ObjectRef) bool { return slices.Contains(w.Copies[l.Name], object) })
		l.Conditions = explained(l.Conditions, all, own)
	}
	w.Status = &now
	return w
}

func isCopy(object model.ObjectRef) bool {
	return object.Kind == kube.KindSecretCopy || object.Kind == kube.KindConfigMapCopy
}

// wordsOf is what there is to say of some objects.
func wordsOf(why map[model.ObjectRef]string, of func(model.ObjectRef) bool) string {
	var all []string
	for _, object := range slices.SortedFunc(maps.Keys(why), model.CompareRefs) {
		if of(object) && !slices.Contains(all, why[object]) {
			all = append(all, why[object])
		}
	}
	return strings.Join(all, "; ")
}

// explained adds to Programmed what keeps it waiting, and what is always to be said.
func explained(conditions []model.Condition, waiting, always string) []model.Condition {
	at := slices.IndexFunc(conditions, func(c model.Condition) bool { return c.Type == Programmed })
	if at < 0 {
		return conditions
	}
	c := conditions[at]
	pending := !c.Status && (c.Reason == Pending || c.Reason == AddressNotAssigned)
	var texts []string
	if c.Message != "" {
		texts = append(texts, c.Message)
	}
	if pending && waiting != "" {
		texts = append(texts, waiting)
	}
	if (pending || c.Status) && always != "" {
		texts = append(texts, always)
	}
	c.Message = strings.Join(texts, "; ")
	conditions = slices.Clone(conditions)
	conditions[at] = c
	return conditions
}
