package graph_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/ops/fleet"
)

// reference copies the reference clients' folder, installs them there as they are locked, and answers
// where that is.
var reference = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weir-conformance-*")
	if err != nil {
		return "", err
	}
	installed = dir
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "audit.mjs", "subscribe.mjs"} {
		body, err := os.ReadFile(filepath.Join("conformance", name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &npmError{err, string(out)}
	}
	return dir, nil
})

var installed string // by reference; TestMain removes it

type npmError struct {
	error
	out string
}

func (e *npmError) Error() string { return "npm ci: " + e.error.Error() + "\n" + e.out }

func runReference(t *testing.T, script, url string) string {
	t.Helper()
	dir := must(reference())(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script, url)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("node %s: %v\n%s", script, err, out)
	}
	return string(out)
}

func TestEveryAuditOfGraphQLOverHTTPPasses(t *testing.T) {
	s := newServer(t, nil)
	if out := runReference(t, "audit.mjs", s.URL); !strings.Contains(out, "61 of 61 audits pass") {
		t.Error(out)
	}
}

func TestTheReferenceClientsOfBothProtocolsSubscribe(t *testing.T) {
	s := newServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			s.hub.Apply(fleet.Reading{Source: fleet.Source{Kind: fleet.AnswerKind}, At: time.Now(), Value: "haproxy1"})
			<-tick.C
		}
	})
	defer wg.Wait()
	defer cancel()
	runReference(t, "subscribe.mjs", s.URL)
}
