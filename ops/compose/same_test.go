package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"weir/ops/inventory"
	"weir/ops/render"
)

// What compose.yml and the containers' scripts have to say once more, because a container cannot read
// it from the rendered files, is the same there.

func renderedHosts(t *testing.T, files int) []render.Host {
	t.Helper()
	secrets, err := loadSecrets(filepath.Join(t.TempDir(), "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := render.Hosts(inventory.Default(), secrets, render.Place{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return hosts
}

func TestContainersHaveTheSysctlsOfTheRenderedFiles(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Sysctls map[string]string
		}
	}
	if err := yaml.Unmarshal([]byte(mustRead(t, "../../compose.yml")), &compose); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^([a-z0-9._]+) *= *(.*?) *$`)
	found := 0
	hosts := renderedHosts(t, defaultFiles)
	for _, h := range hosts {
		for _, f := range h.Files {
			if f.Path != "/etc/sysctl.d/60-weir.conf" {
				continue
			}
			want := map[string]string{}
			for _, m := range line.FindAllStringSubmatch(string(f.Body), -1) {
				want[m[1]] = m[2]
			}
			have := compose.Services[h.Name].Sysctls
			for name, value := range want {
				said := strings.ReplaceAll(have[name], "${WEIR_RESERVED_PORTS:?run make secrets}", reservedPorts(hosts))
				found++
				if said != value {
					t.Errorf("%s: %s is %q in compose.yml, %q in the rendered file", h.Name, name, said, value)
				}
			}
			if len(have) != len(want) {
				t.Errorf("%s: compose.yml sets %d, the rendered file %d", h.Name, len(have), len(want))
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d settings were compared", found)
	}
}

func TestContainersStartWhatTheLabStarts(t *testing.T) {
	script := map[string]string{"haproxy1": "haproxy", "haproxy2": "haproxy", "pgb1": "pgbouncer", "postgres": "postgres"}
	shell := strings.NewReplacer("$data", "/var/lib/postgresql/17/weir", "$f", "/etc/haproxy/haproxy.cfg", "\\\n", "")
	for _, h := range renderedHosts(t, defaultFiles) {
		room, ok := script[h.Name]
		if !ok {
			continue
		}
		body, err := os.ReadFile(filepath.Join("..", room, "container.sh"))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(shell.Replace(string(body))), " ")
		for _, p := range h.Processes {
			if command := strings.Join(p.Argv, " "); !strings.Contains(text, command) {
				t.Errorf("ops/%s/container.sh does not start %s as the lab does: %s", room, p.Name, command)
			}
		}
	}
}
