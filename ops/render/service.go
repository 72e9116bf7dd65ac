package render

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/ops/haproxy"
	"weir/ops/inventory"
)

// Programs is where the programs of this project lie on every host.
const Programs = "/usr/local/lib/weir"

const (
	configDir = "/etc/weir"
	// InventoryFile is where the monitor and the server find the inventory.
	InventoryFile = configDir + "/inventory.yaml"
	secretsDir    = configDir + "/secrets"
)

// MonitorSecrets are what the monitor reads with: every console and page, the database, and the
// pools that it resumes when a pause was forgotten.
var MonitorSecrets = []string{"monitor", "admin", "console", "haproxy-stats"}

//go:embed weir-monitor.service
var monitorUnit []byte

// monitor is the host that watches the chain. env is what the place adds to its settings: where
// Slack is, for one.
func monitor(inv *inventory.Inventory, s inventory.Secrets, files int, env map[string]string) Host {
	h := Host{Node: inventory.Node{Name: inv.Monitor.Name, Address: inv.Monitor.Address}}
	settings := map[string]string{
		inventory.Env: InventoryFile, "WEIR_SECRETS": secretsDir,
		"WEIR_STATE":             "/var/lib/weir/monitor",
		"WEIR_HAPROXY_PROCESSES": fmt.Sprint(haproxy.Instances(inv, files)),
	}
	maps.Copy(settings, env)
	h.Files = append(h.Files,
		inventory.File{Path: InventoryFile, Mode: 0o644, Body: inv.YAML()},
		inventory.File{Path: configDir + "/monitor.env", Mode: 0o600, Body: envFile(settings)},
		inventory.File{Path: "/etc/systemd/system/weir-monitor.service", Mode: 0o644, Body: monitorUnit})
	for _, name := range MonitorSecrets {
		h.Files = append(h.Files, s.File(secretsDir, name, ""))
	}
	h.Processes = []inventory.Process{{
		Name: "monitor", Argv: []string{Programs + "/monitor"}, EnvFile: configDir + "/monitor.env", Ready: inv.Monitor.Port,
	}}
	return h
}

// ConsoleSecrets are what the server reads and operates with.
var ConsoleSecrets = []string{"monitor", "admin", "console", "haproxy-stats"}

// ConsoleEnv is where the server's settings lie, for the commands that are run beside it.
const ConsoleEnv = configDir + "/server.env"

//go:embed weir-server.service
var serverUnit []byte

// console is the host of the console and the API. env is what the place adds to its settings: where
// people find it, for one.
func console(inv *inventory.Inventory, s inventory.Secrets, files int, env map[string]string) Host {
	h := Host{Node: inventory.Node{Name: inv.Console.Name, Address: inv.Console.Address}}
	settings := map[string]string{
		inventory.Env: InventoryFile, "WEIR_SECRETS": secretsDir,
		"WEIR_STATE":     "/var/lib/weir/server",
		"WEIR_MAX_FILES": fmt.Sprint(files),
	}
	maps.Copy(settings, env)
	h.Files = append(h.Files,
		inventory.File{Path: InventoryFile, Mode: 0o644, Body: inv.YAML()},
		inventory.File{Path: ConsoleEnv, Mode: 0o600, Body: envFile(settings)},
		inventory.File{Path: "/etc/systemd/system/weir-server.service", Mode: 0o644, Body: serverUnit})
	for _, name := range ConsoleSecrets {
		h.Files = append(h.Files, s.File(secretsDir, name, ""))
	}
	h.Processes = []inventory.Process{{
		Name: "server", Argv: []string{Programs + "/server"}, EnvFile: ConsoleEnv, Ready: inv.Console.Port,
	}}
	return h
}

func envFile(settings map[string]string) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s=%s\n", name, settings[name])
	}
	return []byte(b.String())
}
