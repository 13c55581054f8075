// Package control measures the way from a changed file to changed traffic: how
// long it takes, what it costs, and how both grow with the number of routes.
//
// It owns the folders it serves and the edits. It must not know how figures are
// shown.
package control

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
)

// serverPort is where the application listens.
const serverPort = 8080

// Layout tells how the routes are spread over files.
type Layout string

// The layouts.
const (
	// FilePerRoute has each route in a file of its own, with its service.
	FilePerRoute Layout = "file per route"
	// OneFile has all routes and services in one file.
	OneFile Layout = "one file"
)

// Case is one folder to measure.
type Case struct {
	Layout Layout `json:"layout"`
	Routes int    `json:"routes"`
}

// String returns the case in words.
func (c Case) String() string { return fmt.Sprintf("%d routes, %s", c.Routes, c.Layout) }

// mesh is the folder of a case, and what has been edited in it.
type mesh struct {
	Case
	parts  []string // the YAML of each route with its service
	edits  int
	edited map[int]bool // the routes that were edited
	random *rand.Rand
}

func newMesh(c Case) *mesh {
	m := &mesh{Case: c, parts: make([]string, c.Routes), edited: map[int]bool{}, random: rand.New(rand.NewPCG(1, uint64(c.Routes)))}
	for i := range m.parts {
		m.parts[i] = part(i, "start", 0)
	}
	return m
}

func part(i int, mark string, comments int) string {
	return product.Service(i, rig.ServerIP, serverPort) + product.Route(i, mark, comments)
}

// write writes the whole folder.
func (m *mesh) write(s *product.Sluice, c *rig.Cell) error {
	if err := s.Write("clients.yaml", product.Workload("client", rig.NetnsPath(c.Client))); err != nil {
		return err
	}
	if m.Layout == OneFile {
		return s.Write(m.file(0), m.text(0))
	}
	for i := range m.parts {
		if err := s.Write(m.file(i), m.text(i)); err != nil {
			return err
		}
	}
	return nil
}

// file is the name of the file that holds route i, text what is in it.
func (m *mesh) file(i int) string {
	if m.Layout == OneFile {
		return "mesh.yaml"
	}
	return product.ServiceName(i) + ".yaml"
}

func (m *mesh) text(i int) string {
	if m.Layout == OneFile {
		return strings.Join(m.parts, "")
	}
	return m.parts[i]
}

// edit changes what a random route marks its responses with, in memory, and
// returns the route and the mark. Every other edit adds a line, as edits do: all
// that follows in the file moves.
func (m *mesh) edit() (route int, mark string) {
	route = m.random.IntN(len(m.parts))
	m.edits++
	m.edited[route] = true
	mark = fmt.Sprintf("edit-%d", m.edits)
	m.parts[route] = part(route, mark, m.edits%2)
	return route, mark
}
