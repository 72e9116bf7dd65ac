package noun

import (
	"context"
	"time"

	"weir/ops/runbook"
	"weir/queries"
)

// Viewer is who asks. server/session's Viewer has the same fields, so that one converts to the other.
type Viewer struct {
	runbook.Actor
	Email      string   // of a person, "" for a token
	Person     string   // their name
	Session    int64    // the session's number, 0 for a token
	Operations []string // the root fields a token is pinned to; nil: all that the role allows
}

// SessionID is null for a token.
func (v Viewer) SessionID() *string {
	if v.Session == 0 {
		return nil
	}
	return some(ID(SessionKind, number(v.Session)))
}

// User is somebody with an account. The hash and the secret stay inside: the schema has no field for them.
type User struct{ queries.User }

func (User) IsNode()              {}
func (u User) ID() string         { return ID(UserKind, number(u.User.ID)) }
func (u User) SecondFactor() bool { return u.TOTPSecret != nil }

// Link is a one-time link that was not used yet.
type Link struct{ queries.OneTimeLink }

func (l Link) ID() string { return ID(LinkKind, number(l.OneTimeLink.ID)) }

// Session is a browser that is signed in.
type Session struct {
	queries.Session
	Users *Batch[int64, queries.User]
}

func (s Session) ID() string { return ID(SessionKind, number(s.Session.ID)) }

func (s Session) Address() *string {
	if s.Session.Address == nil {
		return nil
	}
	return some(s.Session.Address.String())
}

// User is whose it is.
func (s Session) User(ctx context.Context) (*User, error) { return owner(ctx, s.Users, s.UserID) }

// Token is an API token.
type Token struct {
	queries.APIToken
	Users *Batch[int64, queries.User]
}

func (Token) IsNode()      {}
func (t Token) ID() string { return ID(TokenKind, number(t.APIToken.ID)) }

// User is whose it is; null for one made on the machine itself.
func (t Token) User(ctx context.Context) (*User, error) { return owner(ctx, t.Users, t.UserID) }

func owner(ctx context.Context, users *Batch[int64, queries.User], id *int64) (*User, error) {
	if id == nil {
		return nil, nil
	}
	rows, err := users.Of(ctx, *id)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &User{rows[0]}, nil
}

// UserError is why something was not done, and what to do about it.
type UserError struct {
	Field   *string
	Message string
	Code    string
}

// DonePayload is whether something was done.
type DonePayload struct {
	Done       bool
	UserErrors []UserError
}

// AccountPayload is who is signed in after a change.
type AccountPayload struct {
	Viewer     *Viewer
	CodeOwed   bool
	UserErrors []UserError
}

// SecondFactorPayload is a second factor that is being set up.
type SecondFactorPayload struct {
	Secret, URL *string
	UserErrors  []UserError
}

// RecoveryCodesPayload is new recovery codes.
type RecoveryCodesPayload struct {
	RecoveryCodes []string
	UserErrors    []UserError
}

// LinkPayload is a link that was made.
type LinkPayload struct {
	Token      *string
	Expires    *time.Time
	UserErrors []UserError
}

// UserPayload is a person after a change.
type UserPayload struct {
	User       *User
	UserErrors []UserError
}

// TokenPayload is a token that was made.
type TokenPayload struct {
	Secret     *string
	Token      *Token
	UserErrors []UserError
}

// OrderPayload is how an order ended.
type OrderPayload struct {
	Outcome    *Outcome
	Preflight  *Preflight
	UserErrors []UserError
}

// Outcome is how an order ended, as the audit has it.
type Outcome struct{ runbook.Outcome }

func (o Outcome) Result() string      { return string(o.Outcome.Result) }
func (o Outcome) Entry() string       { return ID(AuditKind, o.ID) }
func (o Outcome) Reasons() []string   { return listed(o.Outcome.Reasons) }
func (o Outcome) Detail() []string    { return listed(o.Outcome.Detail) }
func (o Outcome) Expires() *time.Time { return someTime(o.Outcome.Expires) }

// Preflight is what is known of an order before it is given.
type Preflight struct{ runbook.Preflight }

func (p Preflight) Reasons() []string { return listed(p.Preflight.Reasons) }
func (p Preflight) Effects() []string { return listed(p.Preflight.Effects) }

// The pages by the names that the schema has for them.
type (
	UserConnection    = Connection[User]
	UserEdge          = Edge[User]
	SessionConnection = Connection[Session]
	SessionEdge       = Edge[Session]
	TokenConnection   = Connection[Token]
	TokenEdge         = Edge[Token]
)
