package incident

import (
	"os"
	"strings"
	"testing"
)

func TestEveryStateAndEventIsDecided(t *testing.T) {
	if len(edges) != len(States) {
		t.Errorf("the table has %d states of %d", len(edges), len(States))
	}
	for _, s := range States {
		if len(edges[s]) != len(Events) {
			t.Errorf("state %s decides %d events of %d", s, len(edges[s]), len(Events))
		}
		for _, e := range Events {
			if _, known := edges[Next(s, e)]; !known {
				t.Errorf("state %s, event %s leads to %q", s, e, Next(s, e))
			}
		}
	}
}

func TestEveryStateIsReachableAndLeadsBack(t *testing.T) {
	for _, s := range States {
		if !reach(OK, s) {
			t.Errorf("%s cannot be reached", s)
		}
		if !reach(s, OK) {
			t.Errorf("%s never ends", s)
		}
	}
}

func reach(from, to State) bool {
	seen := map[State]bool{from: true}
	for open := []State{from}; len(open) > 0; open = open[1:] {
		for _, e := range Events {
			if next := Next(open[0], e); !seen[next] {
				seen[next] = true
				open = append(open, next)
			}
		}
	}
	return seen[to]
}

func TestABlindMonitorChangesNothing(t *testing.T) {
	for _, s := range States {
		if Next(s, Unknown) != s {
			t.Errorf("%s becomes %s", s, Next(s, Unknown))
		}
	}
}

func TestTheDiagramInTheDocsIsTheTable(t *testing.T) {
	body, err := os.ReadFile("DIAGRAM.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- incident states: begin -->", "<!-- incident states: end -->"
	_, rest, _ := strings.Cut(string(body), begin)
	got, _, ok := strings.Cut(rest, end)
	if want := "\n```mermaid\n" + Diagram() + "```\n"; !ok || got != want {
		t.Errorf("between %s and %s stands\n%s\nwant\n%s", begin, end, got, want)
	}
}
