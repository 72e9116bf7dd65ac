package story_test

import (
	"testing"

	"weir/views/golden"
	"weir/views/story"
)

func TestTheStorybookHoldsToThePolicy(t *testing.T) {
	golden.Plain(t, story.Content())
	golden.HTML(t, "story", story.Content())
}
