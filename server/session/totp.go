package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"weir/ops/fault"
	"weir/queries"
)

const (
	totpStep      = 30 // seconds
	totpWindow    = 1  // steps a clock may be off, either way
	recoveryCodes = 10
	recoveryRunes = 16 // of base32: 80 bits, too many to try against a plain hash
)

// BeginTOTP makes a second factor for the person signed in, who gives the password once more. It is
// not asked for before ConfirmTOTP. The URL is what the app reads from a QR code.
func (m *Manager) BeginTOTP(ctx context.Context, password string) (secret, url string, err error) {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	u, err := m.confirmed(ctx, password)
	if err != nil {
		return "", "", err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "Weir", AccountName: u.Email})
	if err != nil {
		return "", "", fmt.Errorf("make second factor: %w", err)
	}
	return key.Secret(), key.URL(), m.renew(ctx, state{User: u.ID, Stamp: stamp(u), NewTOTP: key.Secret()})
}

// ConfirmTOTP turns the second factor on with a first code of it, and answers the recovery codes,
// which nobody can show again. All other sessions of the person end.
func (m *Manager) ConfirmTOTP(ctx context.Context, code string) (recovery []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	u, err := m.person(ctx)
	if err != nil {
		return nil, err
	}
	st, _ := m.scs.Get(ctx, stateKey).(state)
	if st.NewTOTP == "" {
		return nil, fault.Errorf(fault.Conflict, "No second factor is being set up in this session. Begin again.")
	}
	step, ok := m.matchingStep(st.NewTOTP, code)
	if !ok {
		return nil, fault.Field("code", "This code is wrong. Is the clock of your phone right?")
	}
	recovery, hashes := newRecoveryCodes()
	err = m.changeOwn(ctx, u, "second-factor-on", func(ctx context.Context, tx pgx.Tx) error {
		if err := m.q.RecoveryCodeReplace(ctx, tx, queries.RecoveryCodeReplaceParams{UserID: u.ID, CodeHashes: hashes}); err != nil {
			return err
		}
		return m.setTOTP(ctx, tx, u.ID, &st.NewTOTP, &step)
	})
	if err != nil {
		return nil, err
	}
	return recovery, nil
}

// RemoveTOTP turns the second factor off; the password is asked for once more.
func (m *Manager) RemoveTOTP(ctx context.Context, password string) error {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	u, err := m.confirmed(ctx, password)
	if err != nil {
		return err
	}
	return m.changeOwn(ctx, u, "second-factor-off", func(ctx context.Context, tx pgx.Tx) error {
		return m.clearTOTP(ctx, tx, u.ID)
	})
}

// NewRecoveryCodes replaces those that are left.
func (m *Manager) NewRecoveryCodes(ctx context.Context, password string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	u, err := m.confirmed(ctx, password)
	if err != nil {
		return nil, err
	}
	if u.TOTPSecret == nil {
		return nil, fault.Errorf(fault.Conflict, "Recovery codes belong to a second factor, and you have none.")
	}
	codes, hashes := newRecoveryCodes()
	v := visitOf(ctx)
	err = m.change(ctx, &act{actor: actor(u, v.address), verb: "recovery-codes", subject: u.Email}, func(ctx context.Context, tx pgx.Tx) error {
		return m.q.RecoveryCodeReplace(ctx, tx, queries.RecoveryCodeReplaceParams{UserID: u.ID, CodeHashes: hashes})
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

func (m *Manager) setTOTP(ctx context.Context, tx pgx.Tx, user int64, secret *string, step *int64) error {
	_, err := m.q.UserSetTOTP(ctx, tx, queries.UserSetTOTPParams{ID: user, TOTPSecret: secret, TOTPLastStep: step, At: m.Now()})
	return err
}

func (m *Manager) clearTOTP(ctx context.Context, tx pgx.Tx, user int64) error {
	if err := m.q.RecoveryCodeReplace(ctx, tx, queries.RecoveryCodeReplaceParams{UserID: user}); err != nil {
		return err
	}
	return m.setTOTP(ctx, tx, user, nil, nil)
}

// useCode tries a code and says what it was; "" is neither. Each works once, whoever is first.
func (m *Manager) useCode(ctx context.Context, u queries.User, code string) (how string, err error) {
	if err := m.admit(ctx, codeKey(u.ID)); err != nil {
		return "", err
	}
	if err := m.count(ctx, byCode, codeKey(u.ID)); err != nil {
		return "", err
	}
	code = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(code))
	switch len(code) {
	case 6:
		step, ok := m.matchingStep(*u.TOTPSecret, code)
		if !ok {
			return "", nil
		}
		n, err := m.q.UserUseTOTPStep(ctx, m.DB, queries.UserUseTOTPStepParams{ID: u.ID, Step: step})
		return said(n, err, "with a code of the app")
	case recoveryRunes:
		n, err := m.q.RecoveryCodeUse(ctx, m.DB, queries.RecoveryCodeUseParams{UserID: u.ID, CodeHash: hashCode(code), At: m.Now()})
		return said(n, err, "with a recovery code")
	}
	return "", nil
}

func said(rows int64, err error, how string) (string, error) {
	if err != nil || rows == 0 {
		return "", err
	}
	return how, nil
}

// matchingStep is the step of which this is the code. All are compared, so time tells nothing.
func (m *Manager) matchingStep(secret, code string) (step int64, ok bool) {
	now := m.Now().Unix() / totpStep
	for s := now - totpWindow; s <= now+totpWindow; s++ {
		want, err := hotp.GenerateCode(secret, uint64(s))
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(strings.TrimSpace(code))) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// newRecoveryCodes are codes as people write them down, and their hashes as they are stored.
func newRecoveryCodes() (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		c := rand.Text()[:recoveryRunes]
		codes = append(codes, strings.ToLower(c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:]))
		hashes = append(hashes, hashCode(c))
	}
	return codes, hashes
}

func hashCode(code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return sum[:]
}
