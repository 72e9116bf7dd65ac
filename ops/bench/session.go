package bench

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5/pgproto3"
)

// DialFunc opens a connection, in the lab inside the sealed network. It must give up when ctx ends.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// login opens sessions. It stands in for pgconn, which after a timeout goes on in the background
// for up to 15 s and sends a cancel request over a connection of its own (pgx 5.12): that would
// disturb what is measured, and outlive Stop.
type login struct {
	dial                              DialFunc
	address, user, password, database string
	scram                             scramCache
}

// session is one connection that has logged in, with trust or SCRAM-SHA-256, and without TLS.
type session struct {
	conn net.Conn
	pg   *pgproto3.Frontend
}

// open dials and logs in; the error is a *stepError.
func (l *login) open(ctx context.Context) (*session, error) {
	conn, err := l.dial(ctx, "tcp", l.address)
	if err != nil {
		return nil, failed(ctx, "connect", err)
	}
	s := &session{conn, pgproto3.NewFrontend(conn, conn)}
	if err := s.until(ctx, func() error { return l.authenticate(s.pg) }); err != nil {
		conn.Close()
		return nil, failed(ctx, "log in", err)
	}
	return s, nil
}

// query runs SELECT 1 with the simple protocol. After an error, a *stepError, the session is closed.
func (s *session) query(ctx context.Context) error {
	err := s.until(ctx, func() error {
		s.pg.Send(&pgproto3.Query{String: "SELECT 1"})
		if err := s.pg.Flush(); err != nil {
			return err
		}
		_, err := receive[*pgproto3.ReadyForQuery](s.pg)
		return err
	})
	if err != nil {
		s.conn.Close()
		return failed(ctx, "query", err)
	}
	return nil
}

// close says goodbye, so that nobody logs a lost client.
func (s *session) close(ctx context.Context) {
	s.until(ctx, func() error {
		s.pg.Send(&pgproto3.Terminate{})
		return s.pg.Flush()
	})
	s.conn.Close()
}

// until runs talk, whose reads and writes fail as soon as ctx ends.
func (s *session) until(ctx context.Context, talk func() error) error {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	return talk()
}

func (l *login) authenticate(pg *pgproto3.Frontend) error {
	pg.Send(&pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters:      map[string]string{"user": l.user, "database": l.database},
	})
	if err := pg.Flush(); err != nil {
		return err
	}
	msg, err := receive[pgproto3.AuthenticationResponseMessage](pg)
	if err != nil {
		return err
	}
	switch msg := msg.(type) {
	case *pgproto3.AuthenticationOk:
	case *pgproto3.AuthenticationSASL:
		if err := l.saslScram(pg, msg.AuthMechanisms); err != nil {
			return err
		}
	default:
		return errors.New("the server asks for a login other than SCRAM-SHA-256")
	}
	_, err = receive[*pgproto3.ReadyForQuery](pg)
	return err
}

func (l *login) saslScram(pg *pgproto3.Frontend, mechanisms []string) error {
	if !slices.Contains(mechanisms, "SCRAM-SHA-256") {
		return errors.New("the server does not offer SCRAM-SHA-256")
	}
	first := "n=,r=" + rand.Text() // PostgreSQL takes the user from the start-up packet
	pg.Send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,," + first)})
	if err := pg.Flush(); err != nil {
		return err
	}
	challenge, err := receive[*pgproto3.AuthenticationSASLContinue](pg)
	if err != nil {
		return err
	}
	answer, signature, err := l.scram.answer(l.password, first, string(challenge.Data))
	if err != nil {
		return err
	}
	pg.Send(&pgproto3.SASLResponse{Data: []byte(answer)})
	if err := pg.Flush(); err != nil {
		return err
	}
	final, err := receive[*pgproto3.AuthenticationSASLFinal](pg)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(final.Data, []byte("v="+signature)) != 1 {
		return errors.New("the server could not prove that it knows the password")
	}
	_, err = receive[*pgproto3.AuthenticationOk](pg)
	return err
}

// receive waits for a message of type T and passes over all others; an ErrorResponse is an error.
func receive[T pgproto3.BackendMessage](pg *pgproto3.Frontend) (T, error) {
	var none T
	var refused error
	for {
		msg, err := pg.Receive()
		if err != nil {
			return none, cmp.Or(refused, err)
		}
		switch msg := msg.(type) {
		case T:
			return msg, refused
		case *pgproto3.ErrorResponse:
			refused = fmt.Errorf("%s: %s (SQLSTATE %s)", msg.Severity, msg.Message, msg.Code)
			if msg.Severity == "FATAL" {
				return none, refused
			}
		}
	}
}

// scramCache keeps what was derived from the password, as libpq does not: 4,096 rounds of HMAC cost
// more than all the rest of a login (RFC 7677). PgBouncer shows the salt of PostgreSQL's secret, so
// it is the same at every login.
type scramCache struct {
	mu        sync.Mutex
	of        string // salt and iterations the keys belong to
	clientKey []byte
	serverKey []byte
}

// answer is the client's last message to a challenge, and the signature the server must show.
func (c *scramCache) answer(password, first, challenge string) (message, signature string, err error) {
	nonce, rest, _ := strings.Cut(challenge, ",s=")
	salt, rounds, ok := strings.Cut(rest, ",i=")
	if !ok || !strings.HasPrefix(nonce, "r="+first[strings.LastIndex(first, "r=")+2:]) {
		return "", "", errors.New("the server's SCRAM challenge is malformed")
	}
	clientKey, serverKey, err := c.keys(password, salt, rounds)
	if err != nil {
		return "", "", err
	}
	last := "c=biws," + nonce
	auth := first + "," + challenge + "," + last
	stored := sha256.Sum256(clientKey)
	proof := mac(stored[:], auth)
	subtle.XORBytes(proof, proof, clientKey)
	b64 := base64.StdEncoding.EncodeToString
	return last + ",p=" + b64(proof), b64(mac(serverKey, auth)), nil
}

func (c *scramCache) keys(password, salt, rounds string) (client, server []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == salt+","+rounds {
		return c.clientKey, c.serverKey, nil
	}
	rawSalt, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		return nil, nil, fmt.Errorf("read the server's salt: %w", err)
	}
	n, err := strconv.Atoi(rounds)
	if err != nil {
		return nil, nil, fmt.Errorf("read the server's iterations: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, rawSalt, n, sha256.Size)
	if err != nil {
		return nil, nil, fmt.Errorf("derive the key: %w", err)
	}
	c.of, c.clientKey, c.serverKey = salt+","+rounds, mac(salted, "Client Key"), mac(salted, "Server Key")
	return c.clientKey, c.serverKey, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}

// stepError says which step of a session failed and why, without addresses and port numbers, so
// that the same failure counts as the same.
type stepError struct {
	step, why string
	err       error
}

func (e *stepError) Error() string { return e.step + ": " + e.why }
func (e *stepError) Unwrap() error { return e.err }

func failed(ctx context.Context, step string, err error) *stepError {
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil:
		return &stepError{step, "no answer in time", ctx.Err()}
	case errors.As(err, &errno):
		return &stepError{step, errno.Error(), err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return &stepError{step, "connection closed", err}
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	return &stepError{step, why, err}
}
