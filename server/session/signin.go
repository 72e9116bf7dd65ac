package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

// SignIn signs a person in, or, when the account has a second factor, says that a code is owed:
// SignInCode is next. Unauthenticated is one answer for an unknown address, a wrong password and a
// disabled account, and takes as long; RateLimited comes before the password is looked at.
func (m *Manager) SignIn(ctx context.Context, email, password string) (codeOwed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	v, err := browser(ctx)
	if err != nil {
		return false, err
	}
	email, err = checkEmail(email)
	if err != nil {
		return false, err
	}
	if err := checkLength("password", password); err != nil {
		return false, err
	}
	u, err := m.account(ctx, email)
	if err != nil {
		return false, explain(err)
	}
	device := m.deviceOf(v, u)
	if err := m.attempt(ctx, v, email, device); err != nil {
		return false, explain(err)
	}
	match, err := m.hasher.matches(ctx, password, u.PasswordHash)
	if err != nil {
		return false, err
	}
	if !match || u.DisabledAt != nil {
		return false, m.failed(ctx, v, "sign-in", email, u, device != "")
	}
	return m.enter(ctx, v, u, "sign-in")
}

// account is the one with this address, the zero User when there is none.
func (m *Manager) account(ctx context.Context, email string) (queries.User, error) {
	u, err := m.q.UserGetByEmail(ctx, m.DB, email)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return queries.User{}, fmt.Errorf("read account: %w", err)
	}
	return u, nil
}

// attempt is the throttle: of the device when it is known, else of account and address.
func (m *Manager) attempt(ctx context.Context, v *visit, email, device string) error {
	if device != "" {
		if err := m.admit(ctx, deviceKey(device)); err != nil {
			return err
		}
		return m.count(ctx, byDevice, deviceKey(device))
	}
	if err := m.admit(ctx, accountKey(email), addressKey(v.address)); err != nil {
		return err
	}
	return m.count(ctx, byAccount, accountKey(email))
}

// failed counts against the address and writes the attempt down. An address of nobody is not
// written down: it may be a password in the wrong field.
func (m *Manager) failed(ctx context.Context, v *visit, verb, email string, u queries.User, knownDevice bool) error {
	a := act{actor: anonymous(v.address), verb: verb, subject: email, detail: []string{"wrong password"}}
	switch {
	case u.ID == 0:
		a.subject, a.detail = "", []string{"no such account"}
	case u.DisabledAt != nil:
		a.detail = []string{"the account is disabled"}
	}
	m.note(ctx, a.entry(m, m.Now(), runbook.RefusedResult))
	if !knownDevice {
		if err := m.fail(ctx, byAddress, addressKey(v.address), true); err != nil {
			return explain(err)
		}
	}
	return fault.Errorf(fault.Unauthenticated, "The address or the password is wrong.")
}

// enter follows a password that was right.
func (m *Manager) enter(ctx context.Context, v *visit, u queries.User, verb string) (codeOwed bool, err error) {
	if u.TOTPSecret != nil {
		return true, m.renew(ctx, state{Pending: u.ID, Stamp: stamp(u)})
	}
	return false, m.welcome(ctx, v, u, verb)
}

// SignInCode is the second half: a code of the app, or one of the recovery codes.
func (m *Manager) SignInCode(ctx context.Context, code string) error {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	v, err := browser(ctx)
	if err != nil {
		return err
	}
	st, _ := m.scs.Get(ctx, stateKey).(state)
	if st.Pending == 0 {
		return fault.Errorf(fault.Unauthenticated, "That took too long. Begin with your password again.")
	}
	u, err := m.q.UserGet(ctx, m.DB, st.Pending)
	if err != nil {
		return explain(err)
	}
	if u.DisabledAt != nil || stamp(u) != st.Stamp {
		return fault.Errorf(fault.Unauthenticated, "Your account has changed. Begin with your password again.")
	}
	how, err := m.useCode(ctx, u, code)
	if err != nil {
		return explain(err)
	}
	if how == "" {
		a := act{actor: anonymous(v.address), verb: "sign-in", subject: u.Email, detail: []string{"wrong second factor after the right password"}}
		m.note(ctx, a.entry(m, m.Now(), runbook.RefusedResult))
		return fault.Field("code", "This code is wrong, or was used before.")
	}
	return m.welcome(ctx, v, u, "sign-in", how)
}

// welcome makes the session. What failed before is forgiven.
func (m *Manager) welcome(ctx context.Context, v *visit, u queries.User, verb string, detail ...string) error {
	keys := []string{accountKey(u.Email), codeKey(u.ID)}
	nonce := m.deviceOf(v, u)
	if nonce != "" {
		keys[0] = deviceKey(nonce) // somebody else may be filling the account's
	}
	if err := m.forgive(ctx, m.DB, keys...); err != nil {
		return explain(err)
	}
	if err := m.renew(ctx, state{User: u.ID, Stamp: stamp(u)}); err != nil {
		return err
	}
	m.giveDevice(v, u, nonce)
	a := act{actor: actor(u, v.address), verb: verb, subject: u.Email, detail: detail}
	m.note(ctx, a.entry(m, m.Now(), runbook.OK))
	return nil
}

// renew puts the state under a new token; the old one is over.
func (m *Manager) renew(ctx context.Context, st state) error {
	if err := m.scs.RenewToken(ctx); err != nil {
		return explain(err)
	}
	m.scs.Put(ctx, stateKey, st)
	// scs saves before the answer begins too; here a failure still has an error to become.
	token, _, err := m.scs.Commit(ctx)
	if err != nil {
		return explain(err)
	}
	return m.recognise(ctx, token)
}

// recognise lets the rest of the request see who signed in.
func (m *Manager) recognise(ctx context.Context, token string) error {
	v := visitOf(ctx)
	sum := sha256.Sum256([]byte(token)) // as scs hashes it
	v.session = string(sum[:])
	r, found, err := m.findSession(ctx, v.session)
	if err != nil {
		return err
	}
	v.viewer.Store(nil)
	if found && r.state.User != 0 {
		v.viewer.Store(r.viewer(v.address))
	}
	return nil
}

// SignOut ends the session, also when PostgreSQL does not answer. Without one it does nothing.
func (m *Manager) SignOut(ctx context.Context) error {
	v, err := browser(ctx)
	if err != nil {
		return err
	}
	who := v.viewer.Swap(nil)
	if err := m.scs.Destroy(ctx); err != nil {
		return explain(err)
	}
	if who != nil {
		a := act{actor: who.Actor, verb: "sign-out", subject: who.Email}
		m.note(ctx, a.entry(m, m.Now(), runbook.OK))
	}
	return nil
}

// A device's cookie is a nonce and its seal under the account's own password hash: nothing has to be
// stored for it, no secret kept, and a new password ends it. It proves nothing but that somebody
// signed in here before; all it gives is a throttle of its own.

func seal(u queries.User, nonce string) string {
	mac := hmac.New(sha256.New, []byte(u.PasswordHash))
	mac.Write([]byte("device\x00" + strconv.FormatInt(u.ID, 10) + "\x00" + nonce))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// deviceOf is the nonce of a browser that signed in to this account before, "" of any other.
func (m *Manager) deviceOf(v *visit, u queries.User) string {
	nonce, sealed, ok := strings.Cut(v.device, ".")
	if !ok || u.ID == 0 || !hmac.Equal([]byte(sealed), []byte(seal(u, nonce))) {
		return ""
	}
	return nonce
}

func (m *Manager) giveDevice(v *visit, u queries.User, nonce string) {
	if nonce == "" {
		nonce = rand.Text()
	}
	v.device = nonce + "." + seal(u, nonce)
	http.SetCookie(v.w, &http.Cookie{Name: m.cookieName("weir-device"), Value: v.device, Path: "/", MaxAge: int(deviceMaxAge.Seconds()),
		HttpOnly: true, Secure: m.Secure, SameSite: http.SameSiteLaxMode})
}
