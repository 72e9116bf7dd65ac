package ui

import (
	"strconv"

	"github.com/a-h/templ"
)

// attributes are those of a field that are not always there.
func (i Input) attributes() templ.Attributes {
	a := templ.Attributes{"required": i.Required, "autofocus": i.Focus}
	for name, value := range map[string]string{
		"aria-describedby": i.describedBy(), "autocomplete": i.Autocomplete, "inputmode": i.Mode,
	} {
		if value != "" {
			a[name] = value
		}
	}
	if i.Wrong != "" {
		a["aria-invalid"] = "true"
	}
	if i.Min > 0 {
		a["minlength"] = strconv.Itoa(i.Min)
	}
	if i.Max > 0 {
		a["maxlength"] = strconv.Itoa(i.Max)
	}
	return a
}

// reason is the field that says why.
func (c Confirm) reason() Input {
	i := Input{Name: "reason", Label: "Reason", Value: c.Text, Wrong: c.Faults.Of("reason"), Autocomplete: "off",
		Hint: "For whoever reads the audit later.", Max: 500}
	if c.Reason {
		i.Required, i.Min = true, 3
	} else {
		i.Label = "Reason (optional)"
	}
	return i
}

func (c Confirm) variant() string {
	if c.Danger {
		return "destructive"
	}
	return "primary"
}

// spoken is a trend in words.
func (t Trend) spoken() string {
	most, known := t.Series.peak()
	if !known {
		return t.Label + ", last 15 minutes: no history"
	}
	last := t.Series[len(t.Series)-1]
	if last != last {
		return t.Label + ", last 15 minutes: at most " + t.format(most) + ", now unknown"
	}
	return t.Label + ", last 15 minutes: at most " + t.format(most) + ", now " + t.format(last)
}
