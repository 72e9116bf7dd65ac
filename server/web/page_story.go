package web

import (
	"weir/ops/runbook"
	"weir/views/layout"
	"weir/views/story"
)

// development is the version of a program that was built by hand: those of make are stamped.
const development = "development"

// storyPages are every part and every page in every state, on canned data, for those who draw them:
// `go run ./server` has them, what make builds has not.
func (w *Web) storyPages(see seeing) {
	if w.Version != development {
		return
	}
	see("/story", func(a *asked) (made, error) {
		if err := a.needs(runbook.Viewer); err != nil {
			return made{}, err
		}
		name := a.URL.Query().Get("shot")
		if name == "" {
			return made{title: "Story", section: layout.Overview, content: story.Content()}, nil
		}
		s, ok := story.FindShot(name)
		if !ok {
			return made{}, errNoPage
		}
		return made{title: s.Title, section: s.Section, content: s.Content, charts: s.Charts}, nil
	})
}
