package noun

import (
	"time"

	"weir/queries"
)

// Activity is the client sessions of PostgreSQL at one moment.
type Activity struct {
	At       time.Time
	Backends []Backend
	Unknown  []string // sentences about what could not be asked
}

// Backend is one of them.
type Backend struct {
	PID         int
	Started     time.Time
	User        string
	Database    string
	Application string
	State       string
	StateSince  *time.Time
	XactSince   *time.Time
	QuerySince  *time.Time
	WaitType    *string
	Wait        *string
	BlockedBy   []int
	Query       string
	Address     *string
	Client      *PoolerClient
}

// PoolerClient is a client of a pooler.
type PoolerClient struct {
	Pooler         string
	User           string
	Database       string
	Application    string
	ConnectedSince *time.Time
	ProxyAddress   string  // HAProxy's own end
	Address        *string // the client's; nil is unknown

	State              string // as SHOW CLIENTS has it
	Wait               time.Duration
	LastRequest        *time.Time
	PID                *int // of the backend that works for it; nil is none
	PreparedStatements int64
}

// PoolerServer is a connection of a pooler to PostgreSQL.
type PoolerServer struct {
	User, Database     string
	State              string // as SHOW SERVERS has it
	PID                int
	ConnectedSince     *time.Time
	LastRequest        *time.Time
	PreparedStatements int64
	Client             *PoolerClient // that it works for; nil is none
}

// PoolerConnections are both ends of a pooler at one moment, some of each and how many there are.
type PoolerConnections struct {
	Pooler                string
	At                    time.Time
	Clients               []PoolerClient
	ClientsTotal          int
	Servers               []PoolerServer
	ServersTotal          int
	MaxPreparedStatements int
	Unknown               []string // sentences about what could not be asked
}

// TopQuery is one kind of query and what it cost.
type TopQuery struct {
	QueryID               string
	User, Database        string
	Query                 string
	Calls, Rows           int64
	TotalTime             time.Duration
	MeanTime              time.Duration
	MaxTime               time.Duration
	BlocksHit, BlocksRead int64
}

// Series is the history of one number of one subject.
type Series struct {
	Subject string
	Points  []queries.SampleSeriesRow
}

// Config is what a host is configured with.
type Config struct {
	Host           string
	Files          []ConfigFile
	Running        []Setting // nil: it cannot be asked
	RunningUnknown *string
}

// ConfigFile is one file of a host.
type ConfigFile struct{ Path, Mode, Body string }

// Setting is one that a program runs with.
type Setting struct{ Key, Value, Default string }
