package noun

import (
	"encoding/base64"
	"strconv"
	"strings"

	"weir/ops/fault"
	"weir/ops/runbook"
)

// Kind of a thing with an id: the name of its type in the schema.
type Kind string

const (
	IncidentKind     Kind = "Incident"
	NotificationKind Kind = "Notification"
	SilenceKind      Kind = "Silence"
	AuditKind        Kind = "AuditEntry"
	UserKind         Kind = "User"
	LinkKind         Kind = "Link"
	SessionKind      Kind = "Session"
	TokenKind        Kind = "Token"
	HAProxyNodeKind  Kind = "HAProxyNode"
	PoolerKind       Kind = "Pooler"
	PostgresKind     Kind = "Postgres"
)

// ID names a thing in the whole graph.
func ID(kind Kind, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(kind) + ":" + key))
}

// ParseID takes an id apart. The kind may be one that nobody knows.
func ParseID(id string) (Kind, string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	kind, key, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok || len(id) > 200 {
		return "", "", fault.Field("id", "That is no id.")
	}
	return Kind(kind), key, nil
}

// Key is what a thing of this kind is called in its table. field is the argument that has the id.
func Key(field string, kind Kind, id string) (string, error) {
	k, key, err := ParseID(id)
	if err != nil || k != kind || uuidKinds[kind] && !runbook.IsUUID(key) {
		return "", fault.Field(field, "That is no id of a thing of the kind %s.", kind)
	}
	return key, nil
}

// Number is Key of what is numbered.
func Number(field string, kind Kind, id string) (int64, error) {
	key, err := Key(field, kind, id)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil || n < 1 {
		return 0, fault.Field(field, "That is no id of a thing of the kind %s.", kind)
	}
	return n, nil
}

var uuidKinds = map[Kind]bool{IncidentKind: true, NotificationKind: true, AuditKind: true}

// Node is anything with an id.
type Node interface{ IsNode() }

// AnyReading is a reading of any value.
type AnyReading interface{ IsReading() }
