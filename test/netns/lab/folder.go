package lab

import (
	"os"
	"path/filepath"
)

// Folder is the folder of YAML that sluice watches.
type Folder struct{ Dir string }

// Path is the path of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Write puts a file into the folder in one step, as careful editors do: written
// elsewhere, then renamed.
func (f *Folder) Write(name, text string) error {
	tmp := filepath.Join(filepath.Dir(f.Dir), "."+name+".tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, f.Path(name))
}

// Remove removes a file.
func (f *Folder) Remove(name string) error { return os.Remove(f.Path(name)) }
