package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/file"
)

// loadFolder resolves a folder once, without a running agent.
func loadFolder(dir string) (*model.Mesh, resolve.Result, []source.Problem, error) {
	folder, err := file.New(dir, file.Options{Check: resolve.Check, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, resolve.Result{}, nil, err
	}
	batch := folder.Load()
	result := resolve.New().Update(batch.Changed)
	mesh := model.NewMesh()
	mesh.Apply(result.Delta)
	return mesh, result, batch.Problems, nil
}

// place stands in for netns where nothing is looked for on the machine: every
// workload is taken as found, with numbers for cookies.
func place(mesh *model.Mesh, paths agent.Paths) {
	keys := slices.SortedFunc(maps.Keys(mesh.Workloads), func(a, b model.WorkloadKey) int { return strings.Compare(a.String(), b.String()) })
	for i, key := range keys {
		w := *mesh.Workloads[key]
		w.Place = &model.Place{
			Cookie: uint64(i + 1),
			Mount:  filepath.Join(paths.NetnsDir(), key.Namespace, w.ServiceAccount, fmt.Sprintf("%s-%d", key.Name, i+1)),
		}
		mesh.Workloads[key] = &w
	}
}
