package bench

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The exchange of RFC 7677, section 3.
const (
	rfcFirst     = "n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcChallenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcAnswer    = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcSignature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func TestTheAnswerToAChallengeIsThatOfTheRFC(t *testing.T) {
	var c scramCache
	for range 2 { // derived, then remembered
		answer, signature, err := c.answer("pencil", rfcFirst, rfcChallenge)
		if err != nil || answer != rfcAnswer || signature != rfcSignature {
			t.Errorf("got %s, %s, %v", answer, signature, err)
		}
	}
}

func TestAnotherSaltIsAnotherKey(t *testing.T) {
	var c scramCache
	other := strings.Replace(rfcChallenge, "s=W22Z", "s=X22Z", 1)
	if answer, _, err := c.answer("pencil", rfcFirst, other); err != nil || answer == rfcAnswer {
		t.Errorf("got %s, %v", answer, err)
	}
	if answer, _, err := c.answer("pencil", rfcFirst, rfcChallenge); err != nil || answer != rfcAnswer {
		t.Errorf("back at the first salt: got %s, %v", answer, err)
	}
}

func TestAChallengeThatIsNotOursIsRefused(t *testing.T) {
	for _, challenge := range []string{
		"", "r=somebody-elses-nonce,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"r=rOprNGfwEbeRWgbNEkqO1", "r=rOprNGfwEbeRWgbNEkqO1,s=W22Z", "r=rOprNGfwEbeRWgbNEkqO1,s=?,i=4096",
		"r=rOprNGfwEbeRWgbNEkqO1,s=W22Z,i=many", "e=other-error",
	} {
		if _, _, err := new(scramCache).answer("pencil", rfcFirst, challenge); err == nil {
			t.Errorf("%q was answered", challenge)
		}
	}
}

func TestALoginIsOnlyAsGoodAsTheServersProof(t *testing.T) {
	for _, test := range []struct {
		sentence   string
		mechanisms []string
		signature  string
		want       string
	}{
		{"a server without SCRAM is left", []string{"SCRAM-SHA-1"}, "", "the server does not offer SCRAM-SHA-256"},
		{"a server that guesses its signature is left", []string{"SCRAM-SHA-256"}, "v=guess", "the server could not prove that it knows the password"},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			client, conn := net.Pipe()
			go scramServer(conn, test.mechanisms, test.signature)
			l := login{password: "pencil"}
			err := l.authenticate(pgproto3.NewFrontend(client, client))
			client.Close()
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func scramServer(conn net.Conn, mechanisms []string, signature string) {
	defer conn.Close()
	pg := pgproto3.NewBackend(conn, conn)
	if _, err := pg.ReceiveStartupMessage(); err != nil {
		return
	}
	pg.Send(&pgproto3.AuthenticationSASL{AuthMechanisms: mechanisms})
	pg.Flush()
	pg.SetAuthType(pgproto3.AuthTypeSASL)
	msg, err := pg.Receive()
	if err != nil {
		return
	}
	_, nonce, _ := strings.Cut(string(msg.(*pgproto3.SASLInitialResponse).Data), "r=")
	pg.Send(&pgproto3.AuthenticationSASLContinue{Data: []byte("r=" + nonce + "more,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")})
	pg.Flush()
	pg.SetAuthType(pgproto3.AuthTypeSASLContinue)
	if _, err := pg.Receive(); err != nil {
		return
	}
	pg.Send(&pgproto3.AuthenticationSASLFinal{Data: []byte(signature)})
	pg.Flush()
	io.Copy(io.Discard, conn)
}

func TestAPasswordInClearIsNotGivenAway(t *testing.T) {
	client, conn := net.Pipe()
	go func() {
		pg := pgproto3.NewBackend(conn, conn)
		pg.ReceiveStartupMessage()
		pg.Send(&pgproto3.AuthenticationCleartextPassword{})
		pg.Flush()
		io.Copy(io.Discard, conn)
	}()
	defer client.Close()
	err := (&login{password: "pencil"}).authenticate(pgproto3.NewFrontend(client, client))
	if err == nil || err.Error() != "the server asks for a login other than SCRAM-SHA-256" {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorInAQueryDoesNotPassForAnAnswer(t *testing.T) {
	client, conn := net.Pipe()
	go func() {
		pg := pgproto3.NewBackend(conn, conn)
		pg.Receive()
		pg.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: "query_wait_timeout"})
		pg.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		pg.Flush()
		conn.Close()
	}()
	s := &session{client, pgproto3.NewFrontend(client, client)}
	err := s.query(t.Context())
	var step *stepError
	if !errors.As(err, &step) || err.Error() != "query: ERROR: query_wait_timeout (SQLSTATE 57014)" {
		t.Errorf("got %v", err)
	}
}
