package postgres

import _ "embed"

// Provision is provision.sh, for whoever installs this component: the lab's root file system, an
// image, a Debian host.
//
//go:embed provision.sh
var Provision []byte
