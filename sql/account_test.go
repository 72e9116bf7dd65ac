package sql_test

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/queries"
)

func person(email, role string) queries.UserCreateParams {
	return queries.UserCreateParams{Email: email, Name: email, Role: role, PasswordHash: "$argon2id$...", At: moment}
}

func TestAnAddressIsOnePersonHoweverItIsWritten(t *testing.T) {
	ctx, db := migrated(t)
	ada := must(q.UserCreate(ctx, db, person("Ada@Example.org", "operator")))(t)
	if _, err := q.UserCreate(ctx, db, person("ada@example.ORG", "viewer")); err == nil {
		t.Error("a second account was made")
	}
	if got := must(q.UserGetByEmail(ctx, db, "ADA@example.org"))(t); got.ID != ada.ID {
		t.Errorf("found %+v", got)
	}
}

func TestASecondFactorCodeWorksOnce(t *testing.T) {
	ctx, db := migrated(t)
	ada := must(q.UserCreate(ctx, db, person("ada@example.org", "operator")))(t)
	for _, try := range []struct{ step, want int64 }{{100, 1}, {100, 0}, {99, 0}, {101, 1}} {
		if n := must(q.UserUseTOTPStep(ctx, db, queries.UserUseTOTPStepParams{ID: ada.ID, Step: try.step}))(t); n != try.want {
			t.Errorf("step %d: %d rows, want %d", try.step, n, try.want)
		}
	}
}

func TestARecoveryCodeWorksOnceAndNotAfterItWasReplaced(t *testing.T) {
	ctx, db := migrated(t)
	ada := must(q.UserCreate(ctx, db, person("ada@example.org", "operator")))(t)
	replace := func(hashes ...[]byte) {
		t.Helper()
		try(t, q.RecoveryCodeReplace(ctx, db, queries.RecoveryCodeReplaceParams{UserID: ada.ID, CodeHashes: hashes}))
	}
	use := func(hash string) int64 {
		t.Helper()
		return must(q.RecoveryCodeUse(ctx, db, queries.RecoveryCodeUseParams{UserID: ada.ID, CodeHash: []byte(hash), At: moment}))(t)
	}
	replace([]byte("one"), []byte("two"), []byte("three"))
	if use("one") != 1 || use("one") != 0 {
		t.Error("the first code did not work exactly once")
	}
	if left := must(q.RecoveryCodeCount(ctx, db, ada.ID))(t); left != 2 {
		t.Errorf("%d left, want 2", left)
	}
	replace([]byte("four"))
	if use("two") != 0 || use("four") != 1 {
		t.Error("the codes were not replaced")
	}
	replace()
	if use("four") != 0 {
		t.Error("codes are left")
	}
}

func TestAnEndedSessionIsNotSavedBackToLife(t *testing.T) {
	ctx, db := migrated(t)
	ada := must(q.UserCreate(ctx, db, person("ada@example.org", "operator")))(t)
	save := func(token string) {
		t.Helper()
		try(t, q.SessionSave(ctx, db, queries.SessionSaveParams{TokenHash: []byte(token), UserID: &ada.ID, Data: []byte("data"),
			At: moment, ExpiresAt: moment.Add(time.Hour), Address: ref(netip.MustParseAddr("192.0.2.7")), UserAgent: "curl"}))
	}
	get := func(token string) (queries.Session, error) {
		return q.SessionGet(ctx, db, queries.SessionGetParams{TokenHash: []byte(token), At: moment})
	}
	for _, token := range []string{"phone", "laptop", "desk"} {
		save(token)
	}
	phone := must(get("phone"))(t)
	if *phone.Address != netip.MustParseAddr("192.0.2.7") || *phone.UserID != ada.ID {
		t.Errorf("got %+v", phone)
	}
	if hash := must(q.SessionEnd(ctx, db, queries.SessionEndParams{ID: phone.ID, At: moment}))(t); string(hash) != "phone" {
		t.Errorf("ended %q", hash)
	}
	save("phone")
	if _, err := get("phone"); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("the ended session: %v", err)
	}
	hashes := must(q.SessionEndByUser(ctx, db, queries.SessionEndByUserParams{UserID: ada.ID, At: moment, ExceptTokenHash: []byte("desk")}))(t)
	if len(hashes) != 1 || string(hashes[0]) != "laptop" {
		t.Errorf("ended %q, want the laptop's", hashes)
	}
	must(get("desk"))(t)
	if n := must(q.SessionDeleteExpired(ctx, db, moment.Add(time.Hour)))(t); n != 3 {
		t.Errorf("%d expired, want 3", n)
	}
}

func TestALinkWorksForOneOfSeveralAtOnce(t *testing.T) {
	ctx, db := migrated(t)
	must(q.OneTimeLinkCreate(ctx, db, queries.OneTimeLinkCreateParams{Kind: "invite", TokenHash: []byte("token"), Email: ref("Grace@example.org"),
		Role: ref("viewer"), CreatedBy: "ada", CreatedAt: moment, ExpiresAt: moment.Add(time.Hour)}))(t)
	use := queries.OneTimeLinkUseParams{TokenHash: []byte("token"), At: moment.Add(time.Hour)}
	if _, err := q.OneTimeLinkUse(ctx, db, use); !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("when it was over: %v", err)
	}
	use.At = moment
	var used atomic.Int64
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if link, err := q.OneTimeLinkUse(ctx, db, use); err == nil && *link.Email == "grace@example.org" {
				used.Add(1)
			} else if !errors.Is(err, pgx.ErrNoRows) {
				t.Error(link, err)
			}
		})
	}
	if all.Wait(); used.Load() != 1 {
		t.Errorf("used %d times", used.Load())
	}
}

func TestALinkFitsItsKind(t *testing.T) {
	ctx, db := migrated(t)
	ada := must(q.UserCreate(ctx, db, person("ada@example.org", "operator")))(t)
	for _, c := range []struct {
		says string
		link queries.OneTimeLinkCreateParams
		ok   bool
	}{
		{"an invitation carries a role", queries.OneTimeLinkCreateParams{Kind: "invite", Role: ref("viewer")}, true},
		{"an invitation without a role makes nobody", queries.OneTimeLinkCreateParams{Kind: "invite"}, false},
		{"a reset is for a user", queries.OneTimeLinkCreateParams{Kind: "password-reset", UserID: &ada.ID}, true},
		{"a reset without a user is for nobody", queries.OneTimeLinkCreateParams{Kind: "password-reset"}, false},
		{"a reset changes no role", queries.OneTimeLinkCreateParams{Kind: "password-reset", UserID: &ada.ID, Role: ref("administrator")}, false},
	} {
		c.link.TokenHash, c.link.CreatedBy, c.link.CreatedAt, c.link.ExpiresAt = []byte(c.says), "ada", moment, moment.Add(time.Hour)
		if _, err := q.OneTimeLinkCreate(ctx, db, c.link); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.says, err)
		}
	}
}

func TestFailuresCountWithinTheirWindow(t *testing.T) {
	ctx, db := migrated(t)
	fail := func(at time.Time) int32 {
		t.Helper()
		return must(q.LoginThrottleFail(ctx, db, queries.LoginThrottleFailParams{Key: "account:ada", At: at, WindowFloor: at.Add(-time.Minute)}))(t).Failures
	}
	if a, b, c := fail(moment), fail(moment.Add(time.Minute)), fail(moment.Add(2*time.Minute)); a != 1 || b != 2 || c != 1 {
		t.Errorf("counted %d, %d, %d", a, b, c)
	}
	for _, until := range []time.Time{moment.Add(time.Hour), moment.Add(time.Minute)} {
		try(t, q.LoginThrottleBlock(ctx, db, queries.LoginThrottleBlockParams{Key: "account:ada", Until: until}))
	}
	got := must(q.LoginThrottleList(ctx, db, []string{"address:192.0.2.7", "account:ada"}))(t)
	if len(got) != 1 || !got[0].BlockedUntil.Equal(moment.Add(time.Hour)) {
		t.Errorf("got %+v", got)
	}
	if n := must(q.LoginThrottleDeleteStale(ctx, db, moment.Add(time.Hour)))(t); n != 0 {
		t.Error("a block was forgotten")
	}
	if n := must(q.LoginThrottleDeleteStale(ctx, db, moment.Add(2*time.Hour)))(t); n != 1 {
		t.Error("a stale row stays")
	}
}

func TestATokenDiesWithItsTimeItsOwnerAndItsRevocation(t *testing.T) {
	ctx, db := migrated(t)
	ada := must(q.UserCreate(ctx, db, person("ada@example.org", "operator")))(t)
	token := must(q.APITokenCreate(ctx, db, queries.APITokenCreateParams{UserID: &ada.ID, Name: "ci", Prefix: "weir_ab", TokenHash: []byte("hash"),
		Role: "administrator", Operations: []string{"drain", "ready"}, CreatedBy: "ada", CreatedAt: moment, ExpiresAt: moment.Add(time.Hour)}))(t)
	local := must(q.APITokenCreate(ctx, db, queries.APITokenCreateParams{Name: "script", Prefix: "weir_cd", TokenHash: []byte("local"),
		Role: "viewer", CreatedBy: "root", CreatedAt: moment, ExpiresAt: moment.Add(time.Hour)}))(t)
	alive := func(hash string, at time.Time) bool {
		t.Helper()
		_, err := q.APITokenGetByHash(ctx, db, queries.APITokenGetByHashParams{TokenHash: []byte(hash), At: at})
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		return err == nil
	}
	got := must(q.APITokenGetByHash(ctx, db, queries.APITokenGetByHashParams{TokenHash: []byte("hash"), At: moment}))(t)
	if got.APIToken.ID != token.ID || *got.UserRole != "operator" || len(got.APIToken.Operations) != 2 {
		t.Errorf("got %+v", got)
	}
	if alive("hash", moment.Add(time.Hour)) {
		t.Error("alive after its time")
	}
	must(q.UserDisable(ctx, db, queries.UserDisableParams{ID: ada.ID, At: moment}))(t)
	if alive("hash", moment) || !alive("local", moment) {
		t.Error("the disabled owner's should be dead, the ownerless alive")
	}
	if local.Operations != nil {
		t.Errorf("operations %q, want null: all", local.Operations)
	}
	must(q.APITokenRevoke(ctx, db, queries.APITokenRevokeParams{ID: local.ID, At: moment}))(t)
	if alive("local", moment) {
		t.Error("alive after its revocation")
	}
}

func TestTwoAtOnceCannotRemoveTheLastTwoAdministrators(t *testing.T) {
	ctx, db := migrated(t)
	for _, email := range []string{"ada@example.org", "grace@example.org"} {
		must(q.UserCreate(ctx, db, person(email, "administrator")))(t)
	}
	first := must(db.Begin(ctx))(t)
	defer first.Rollback(ctx)
	admins := must(q.UserLockAdministrators(ctx, first))(t)
	seen := make(chan []int64, 1)
	go func() {
		second, err := q.UserLockAdministrators(ctx, db)
		if err != nil {
			t.Error(err)
		}
		seen <- second
	}()
	untilAnotherWaits(t, ctx, first)
	must(q.UserSetRole(ctx, first, queries.UserSetRoleParams{ID: admins[0], Role: "viewer", At: moment}))(t)
	try(t, first.Commit(ctx))
	if second := <-seen; len(admins) != 2 || len(second) != 1 || second[0] != admins[1] {
		t.Errorf("the first saw %d, the second %d", admins, second)
	}
}
