package ui

import "time"

// Missing is why a part of a page is not there. The zero Missing is that it is.
type Missing struct {
	Loading bool      // it is still being read
	Away    bool      // PostgreSQL, which keeps it, is out of reach
	Since   time.Time // of Away; zero is not known
	Why     string    // it could not be read; with Away what is in the way, "" is that PostgreSQL does not answer
	Role    string    // it needs this role, and the viewer has not got it
}

// Is reports whether the part is missing.
func (m Missing) Is() bool { return m != Missing{} }

// Tab is one page of several that belong together.
type Tab struct {
	Label, Href string
	Here        bool
}
