package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
)

// Checksum names a file's content: a program that runs says by it which of the files it has read.
func Checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// File is one rendered file of one host. The component's room renders it; the lab, the images and
// provision.sh put it in its place.
type File struct {
	Path  string      // absolute, on the host
	Mode  fs.FileMode // permission bits
	Owner string      // user[:group] by name, as the package of the component makes them; "" is root
	Body  []byte
}

// Process is one daemon of one host, as the lab's supervisor starts it. On machines with systemd
// the unit that provision.sh ships says the same.
type Process struct {
	Name string   // "haproxy"; the second of several alike is "haproxy-2"
	Argv []string // absolute program
	User string   // by name, "" is root
	// EnvFile holds its environment, NAME=VALUE a line, as systemd's EnvironmentFile; "" is none.
	EnvFile string
	// Prepare runs to its end as root before each start, and again after a crash.
	Prepare []string
	// Cleanup runs to its end as root after each end, clean or not, as systemd's ExecStopPost.
	Cleanup []string
	// After runs to its end once the process accepts connections on Ready; it may run many times.
	After []string
	// Ready is a TCP port on the host that accepts once the process serves; 0 is ready when started.
	Ready int
	// Stop is the signal of a clean stop, as a number; 0 is SIGTERM.
	Stop int
	// Reload is the signal that makes it read its files again; 0 where it cannot.
	Reload int
}
