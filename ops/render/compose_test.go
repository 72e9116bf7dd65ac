package render

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"weir/ops/inventory"
)

func moved(t *testing.T, to string) *inventory.Inventory {
	t.Helper()
	inv, err := Moved(inventory.Default(), netip.MustParsePrefix(to))
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestAMovedClusterKeepsTheNumbersOfItsHosts(t *testing.T) {
	inv := moved(t, "10.9.8.0/24")
	want := map[string]string{"haproxy1": "10.9.8.10", "haproxy2": "10.9.8.11", "pgb1": "10.9.8.21", "pgb2": "10.9.8.22",
		"pgb3": "10.9.8.23", "postgres": "10.9.8.30", "monitor": "10.9.8.40", "console": "10.9.8.41"}
	for _, h := range inv.Hosts() {
		if h.Address.String() != want[h.Name] {
			t.Errorf("%s moved to %s, not to %s", h.Name, h.Address, want[h.Name])
		}
	}
	if inv.VIPEndpoint() != "10.9.8.100:5432" || inv.Network.String() != "10.9.8.0/24" {
		t.Errorf("VIP %s in %s", inv.VIPEndpoint(), inv.Network)
	}
	if bytes.Contains(inv.YAML(), []byte("192.168.1.")) {
		t.Error("the text that the machines get still has addresses of the old network")
	}
}

func TestAClusterMovesOnlyToANetworkOfItsSize(t *testing.T) {
	for _, to := range []string{"10.0.0.0/8", "fd00::/24"} {
		if _, err := Moved(inventory.Default(), netip.MustParsePrefix(to)); err == nil {
			t.Errorf("moved to %s", to)
		}
	}
}

// The lab has its machine's limit of open files, containers have WEIR_FILES, hosts the inventory's.
// With the same limit, all that may differ between the three is where things are.
func TestTheFilesOfTheThreePlacesDifferOnlyInAddressesAndPaths(t *testing.T) {
	const files = 65536
	lab := rendered(t, inventory.Default(), Place{Files: files})
	machines := inventory.Default()
	machines.HAProxy.MaxFiles = files
	places := map[string]map[string]string{
		"hosts":   rendered(t, machines, Place{}),
		"compose": rendered(t, moved(t, "10.9.8.0/24"), Place{Files: files}),
	}
	for place, have := range places {
		if len(have) != len(lab) {
			t.Errorf("%s has %d files, the lab %d", place, len(have), len(lab))
		}
		for path, body := range lab {
			if have[path] != body {
				t.Errorf("%s in the lab and in %s:\n%s", path, place, firstDifference(body, have[path]))
			}
		}
	}
}

// rendered is every file by host and path, with the addresses, and the checksums that follow them, taken out.
// PgBouncer's columns are padded after an address, and digests of a password do not change with it.
func rendered(t *testing.T, inv *inventory.Inventory, place Place) map[string]string {
	t.Helper()
	hosts, err := Hosts(inv, secrets, place)
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`\d+\.\d+\.\d+\.\d+(/\d+)? *|sha256:[0-9a-f]{16}`)
	out := map[string]string{}
	for _, h := range hosts {
		for _, f := range h.Files {
			out[h.Name+f.Path] = address.ReplaceAllString(string(f.Body), "ADDRESS ")
		}
	}
	return out
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i, line := range as {
		if i >= len(bs) || bs[i] != line {
			return "- " + line + "\n+ " + strings.Join(bs[min(i, len(bs)-1):min(i+1, len(bs))], "")
		}
	}
	return "the second is longer"
}
