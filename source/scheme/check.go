package scheme

import (
	"regexp"
	"strconv"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// An object is checked as if it stood in a file of the name below, rule i in its
// line i+1. A position in the error then tells the rule, whatever the wording.
const checkedFile = "\x00"

var checkedPosition = regexp.MustCompile(` ?\(?` + checkedFile + `:([0-9]+)\)?`)

// check asks Check of an object that is valid by its schema, and makes an error
// a finding, at the first rule that the error names.
func (d *Decoder) check(it *Item) {
	if d.Check == nil {
		return
	}
	obj := &source.Object{
		KubeObject: it.Object,
		Origin:     model.Origin{Object: it.Ref, Rule: -1, File: checkedFile},
		RuleLines:  make([]int, len(it.RuleLines)),
	}
	for i := range obj.RuleLines {
		obj.RuleLines[i] = i + 1
	}
	err := d.Check(obj)
	if err == nil {
		return
	}
	f := Finding{Line: it.Line, Message: checkedPosition.ReplaceAllString(err.Error(), "")}
	if at := checkedPosition.FindStringSubmatch(err.Error()); at != nil {
		if rule, err := strconv.Atoi(at[1]); err == nil && rule > 0 && rule <= len(it.RuleLines) {
			f.Line = it.RuleLines[rule-1]
		}
	}
	it.Findings = append(it.Findings, f)
}
