package session

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/fault"
	"weir/queries"
)

// Throttles live in PostgreSQL, so they survive restarts and hold for all servers together. An
// attempt is counted against its account before its password is looked at: many at once get no more
// than one after the other. Against its address it is counted when it has failed, as an office that
// signs in at nine o'clock is no attack: also while the address is blocked, so that many at once block
// it for as long as if they had come one after the other.
//
// Nobody is locked out for ever. Waiting never exceeds the policy's longest; a browser that signed in
// to the account before has a throttle of its own, which nobody else can fill; and a reset link from
// an administrator, or from the machine, clears the account's.

// policy is how many failures are free, and how the waiting grows after them: it doubles.
type policy struct {
	free           int32
	first, longest time.Duration
	window         time.Duration // after which counting starts again
}

var (
	byAccount = policy{free: 5, first: 30 * time.Second, longest: 15 * time.Minute, window: time.Hour}
	byDevice  = byAccount
	// A whole office may come from one address.
	byAddress = policy{free: 20, first: 30 * time.Second, longest: 15 * time.Minute, window: time.Hour}
	// Second factors, and passwords asked of somebody signed in: only who has the first can get here.
	// About 34 codes a day.
	byCode = policy{free: 5, first: 30 * time.Second, longest: time.Hour, window: 24 * time.Hour}
)

func accountKey(email string) string { return "account:" + email }
func deviceKey(nonce string) string  { return "device:" + nonce }
func codeKey(user int64) string      { return "code:" + strconv.FormatInt(user, 10) }

// addressKey takes a network of 64 bits for one client, as IPv6 gives them out.
func addressKey(a netip.Addr) string {
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 fits
		return "address:" + p.String()
	}
	return "address:" + a.String()
}

// wait is how long the next attempt has to after so many failures.
func (p policy) wait(failures int32) time.Duration {
	if failures <= p.free {
		return 0
	}
	wait := p.first
	for range failures - p.free - 1 {
		if wait *= 2; wait >= p.longest {
			return p.longest
		}
	}
	return wait
}

// admit refuses while one of the keys is blocked.
func (m *Manager) admit(ctx context.Context, keys ...string) error {
	rows, err := m.q.LoginThrottleList(ctx, m.DB, keys)
	if err != nil {
		return fmt.Errorf("read throttle: %w", err)
	}
	for _, row := range rows {
		if err := blocked(row, m.Now()); err != nil {
			return err
		}
	}
	return nil
}

func blocked(row queries.LoginThrottle, now time.Time) error {
	if row.BlockedUntil == nil || !row.BlockedUntil.After(now) {
		return nil
	}
	wait := (row.BlockedUntil.Sub(now) + time.Second - 1).Truncate(time.Second) // rounded up
	return fault.Errorf(fault.RateLimited, "Too many attempts failed. Try again in %s, or in a browser in which you signed in before.", wait)
}

// count counts an attempt before it is made; forgive takes it back. The error is RateLimited when
// others were quicker and the key is blocked by now: then it is not made, and does not count.
func (m *Manager) count(ctx context.Context, p policy, key string) error {
	return m.fail(ctx, p, key, false)
}

// fail counts an attempt; one that was made counts also when the key is blocked by now.
func (m *Manager) fail(ctx context.Context, p policy, key string, made bool) error {
	now := m.Now()
	tx, err := m.DB.BeginTx(ctx, pgx.TxOptions{})
	if err != nil {
		return fmt.Errorf("count attempt: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	// The row is locked until the end: of several at once, each sees what the one before made of it.
	row, err := m.q.LoginThrottleFail(ctx, tx, queries.LoginThrottleFailParams{Key: key, At: now, WindowFloor: now.Add(-p.window)})
	if err != nil {
		return fmt.Errorf("count attempt: %w", err)
	}
	if err := blocked(row, now); err != nil && !made {
		return err
	}
	if wait := p.wait(row.Failures); wait > 0 {
		if err := m.q.LoginThrottleBlock(ctx, tx, queries.LoginThrottleBlockParams{Key: key, Until: now.Add(wait)}); err != nil {
			return fmt.Errorf("block %s: %w", key, err)
		}
	}
	return tx.Commit(ctx)
}

func (m *Manager) forgive(ctx context.Context, db queries.DBTX, keys ...string) error {
	for _, key := range keys {
		if err := m.q.LoginThrottleClear(ctx, db, key); err != nil {
			return fmt.Errorf("clear throttle: %w", err)
		}
	}
	return nil
}

// confirm asks somebody who is signed in for the password once more.
func (m *Manager) confirm(ctx context.Context, u queries.User, field, password string) error {
	if err := checkLength(field, password); err != nil {
		return err
	}
	key := "confirm:" + strconv.FormatInt(u.ID, 10)
	if err := m.admit(ctx, key); err != nil {
		return explain(err)
	}
	if err := m.count(ctx, byCode, key); err != nil {
		return explain(err)
	}
	match, err := m.hasher.matches(ctx, password, u.PasswordHash)
	if err != nil {
		return err
	}
	if !match {
		return fault.Field(field, "This is not your password.")
	}
	return explain(m.forgive(ctx, m.DB, key))
}
