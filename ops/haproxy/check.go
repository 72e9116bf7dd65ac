package haproxy

import "strings"

// outcomes are what HAProxy's codes for the outcome of a check mean, for a check that talks to a pooler.
var outcomes = map[string]string{
	"INI": "not checked yet", "SOCKERR": "socket error",
	"L4OK": "check passed", "L4CON": "no connection", "L4TOUT": "no answer",
	"L7OK": "check passed", "L7TOUT": "accepted, then silent", "L7RSP": "wrong answer", "L7STS": "wrong answer",
}

// Checked is the outcome of a check in words, with HAProxy's own code: accepted, then silent (L7TOUT). code and said
// are Row.Check and Row.LastCheck; HAProxy puts "* " before the code while the next check runs. "" is that nothing
// was checked.
func Checked(code, said string) string {
	code = strings.TrimPrefix(code, "* ")
	said, _, _ = strings.Cut(said, " at step ") // at which step of the check it was says no more than the code
	said = strings.TrimSpace(said)
	switch meaning, known := outcomes[code]; {
	case !known:
		return strings.Trim(code+": "+said, ": ")
	case code == "L4CON" && said != "":
		return strings.ToLower(said) + " (" + code + ")"
	case said == "" || strings.HasSuffix(code, "OK"):
		return meaning + " (" + code + ")"
	default:
		return meaning + ": " + said + " (" + code + ")"
	}
}
