package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"weir/ops/incident"
)

// memory is what outlives the monitor: the book, and the transitions that the journal has not
// taken yet. Both are in one file, so that after a crash either neither happened or both did.
type memory struct {
	Book incident.Book         `json:"book"`
	Owed []incident.Transition `json:"owed,omitempty"`
}

// load reads a file as JSON into v. One that is not there leaves v as it is.
func load(path string, v any) error {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// save writes v as JSON aside, makes sure of it, and renames it: whoever reads finds the one before
// or this one whole, also after a power cut.
func save(path string, v any) error {
	body, err := json.Marshal(v)
	if err == nil {
		err = writeAside(path, body)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func writeAside(path string, body []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // one writer a file
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
