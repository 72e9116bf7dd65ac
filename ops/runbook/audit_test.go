package runbook

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestTheSpoolKeepsEntriesOverARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := NewDirSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	first := Entry{ID: "0190a5f0-0000-7000-8000-000000000001", At: time.Date(2026, 5, 1, 12, 0, 0, 123456000, time.UTC),
		Actor: Actor{Kind: User, ID: 7, Name: "ada", Role: Operator, Address: netip.MustParseAddr("192.168.1.9")},
		Verb:  Drain, Subject: "pgb2", Reason: "new disk", Result: Failed, Detail: []string{"begun"}, Took: time.Second}
	second := first
	second.ID = "0190a5f0-0000-7000-8000-000000000002"
	for _, e := range []Entry{second, first} {
		if err := s.Save(e); err != nil {
			t.Fatal(err)
		}
	}
	first.Result, first.Detail = OK, nil
	if err := s.Save(first); err != nil {
		t.Fatal(err)
	}
	again, err := NewDirSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.List()
	if err != nil || !reflect.DeepEqual(got, []Entry{first, second}) {
		t.Errorf("%+v %v", got, err)
	}
	for range 2 {
		if err := again.Remove(first.ID); err != nil {
			t.Error(err)
		}
	}
	if got, err := s.List(); err != nil || len(got) != 1 || got[0].ID != second.ID {
		t.Errorf("%+v %v", got, err)
	}
}

func TestADamagedEntryDoesNotHideTheOthers(t *testing.T) {
	dir := t.TempDir()
	s, err := NewDirSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(Entry{ID: "b"}); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{"a" + spoolSuffix: `{"ID":`, ".new-1": "half of one"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.List()
	if err == nil || len(got) != 1 || got[0].ID != "b" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestOthersCannotReadTheSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := NewDirSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(Entry{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, s.path("a")} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}
