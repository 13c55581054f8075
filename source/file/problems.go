package file

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// problemsOf lists what is wrong with a file, in order of its lines.
func (l *ledger) problemsOf(in *input) []source.Problem {
	var all []source.Problem
	if in.problem != nil {
		all = append(all, *in.problem)
	}
	for _, d := range in.docs {
		for i := range d.items {
			it := &d.items[i]
			if len(it.Findings) > 0 || len(l.contested) > 0 && l.contested[it.Ref] {
				all = l.itemProblems(all, claim{d, it})
			}
		}
	}
	if len(in.ghosts) > 0 && in.problem == nil {
		all = append(all, ghostProblem(in))
	}
	// What is told of the whole file follows from what is told of its lines.
	slices.SortStableFunc(all, func(a, b source.Problem) int { return cmp.Compare(lineOrder(a), lineOrder(b)) })
	return all
}

// lineOrder sorts a problem without a line behind all others.
func lineOrder(p source.Problem) uint { return uint(p.Line) - 1 }

func (l *ledger) itemProblems(all []source.Problem, c claim) []source.Problem {
	in := c.doc.in
	e := l.entries[c.item.Ref]
	if e != nil && len(e.claims) > 0 && e.claims[0].item != c.item {
		first := e.claims[0]
		return append(all, source.Problem{
			Object: c.item.Ref, File: in.path, Line: c.line(),
			Message: fmt.Sprintf("already defined at %s:%d, which stays: remove or rename one of the two",
				first.doc.in.path, first.line()),
		})
	}
	lastGood := c.item.Broken() && e != nil && e.served != nil && e.good.doc != c.doc
	absent := c.item.Broken() && e != nil && e.served == nil
	for _, f := range c.item.Findings {
		all = append(all, source.Problem{
			Object: c.item.About, File: in.path, Line: c.doc.at(f.Line),
			Message: f.Message, LastGood: lastGood && !f.Warning, Absent: absent && !f.Warning, Warning: f.Warning,
		})
	}
	return all
}

// ghostProblem tells of the objects of a file that stay because something in it
// cannot be told.
func ghostProblem(in *input) source.Problem {
	refs := sortedRefs(in.ghosts)
	const most = 3
	var names []string
	for _, ref := range refs[:min(most, len(refs))] {
		names = append(names, ref.String())
	}
	if len(refs) > most {
		names = append(names, fmt.Sprintf("%d more", len(refs)-most))
	}
	return source.Problem{
		File: in.path, LastGood: true,
		Message: "not found, but kept as long as something in the file is broken: " + strings.Join(names, ", "),
	}
}

func sortedRefs(m map[model.ObjectRef]bool) []model.ObjectRef {
	refs := make([]model.ObjectRef, 0, len(m))
	for ref := range m {
		if ref != (model.ObjectRef{}) {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b model.ObjectRef) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return refs
}

func sortedPaths(m map[string]stamp) []string {
	paths := make([]string, 0, len(m))
	for path := range m {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// take returns what changed since the last time. Problems are in it when they
// changed, or when all is asked for.
func (l *ledger) take(folders []source.Problem, all bool) source.Batch {
	differ := all || !slices.Equal(folders, l.folders)
	l.folders = folders
	for in := range l.touched {
		now := l.problemsOf(in)
		if slices.Equal(now, l.problems[in.path]) {
			continue
		}
		differ = true
		if l.problems[in.path] = now; len(now) == 0 {
			delete(l.problems, in.path)
		}
	}
	b := source.Batch{Changed: l.changed, Moved: l.moved}
	if differ {
		b.Problems = l.allProblems()
	}
	clear(l.touched)
	l.changed, l.moved = map[model.ObjectRef]*source.Object{}, map[model.ObjectRef]*source.Object{}
	return b
}

func (l *ledger) allProblems() []source.Problem {
	all := slices.Clone(l.folders)
	for _, problems := range l.problems {
		all = append(all, problems...)
	}
	slices.SortStableFunc(all, func(a, b source.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(lineOrder(a), lineOrder(b)))
	})
	if all == nil {
		all = []source.Problem{}
	}
	return all
}
