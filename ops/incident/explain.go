package incident

import "slices"

// Accounts says that another cause is only a symptom of this finding.
func (f Finding) Accounts(cause string) bool {
	return f.Cause != cause && slices.ContainsFunc(f.Explains, func(symptom string) bool { return explains(symptom, cause) })
}
