package session

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/ops/fault"
)

func TestPasswordsAreLongAndNotWhatIsTriedFirst(t *testing.T) {
	for _, c := range []struct {
		sentence, password string
		good               bool
	}{
		{"eleven characters", "plum tracto", false},
		{"twelve characters", "plum tractor", true},
		{"twelve characters of two bytes", "äöüßéèêñçøåı", true},
		{"256 characters", strings.Repeat("plum tractor weigh ", 14)[:256-1] + "!", true},
		{"257 characters", strings.Repeat("plum tractor weigh ", 14)[:256] + "!", false},
		{"invalid UTF-8", "plum tractor\xff", false},
		{"a common word with decoration", "Password1234!", false},
		{"a common word spelt with digits", "P4ssw0rd2024", false},
		{"two common words", "dragonmonkey99", false},
		{"two common words with a space", "Summer Football", false},
		{"three common words", "iloveyou-princess-2019", false},
		{"the product itself", "weirpostgres123", false},
		{"one character", "aaaaaaaaaaaaaaaa", false},
		{"few characters", "abababababcc", false},
		{"a repetition", "hunter2hunter2", false},
		{"digits in order", "123456789012", false},
		{"the alphabet", "abcdefghijklmnop", false},
		{"a row of keys and digits", "qwertyuiop1234", false},
		{"keys up and down", "1qaz2wsx3edc4rfv", false},
		{"keys backwards", "poiuytrewq4321", false},
		{"their own address", "ada.lovelace12", false},
		{"their own name", "Lovelace1815!", false},
		{"four words that do not belong together", "correct plum tractor weighs", true},
		{"random letters", "xk7qpz0mvwt3", true},
		{"a sentence", "the ferry leaves at nine on Mondays", true},
	} {
		err := checkPassword(c.password, about("ada.lovelace@example.org", "Ada Lovelace")...)
		if (err == nil) != c.good {
			t.Errorf("%s, %.30q: %v", c.sentence, c.password, err)
		}
		if err != nil && fault.FieldOf(err) != "password" {
			t.Errorf("%s: the field is %q", c.sentence, fault.FieldOf(err))
		}
	}
}

func TestTheSamePasswordTypedOnAnotherKeyboardMatches(t *testing.T) {
	h := must(newHasher())(t)
	hash := must(h.create(t.Context(), "caf\u00e9 tractor weighs"))(t)
	if !must(h.matches(t.Context(), "cafe\u0301 tractor weighs", hash))(t) {
		t.Error("composed and decomposed letters differ")
	}
	if must(h.matches(t.Context(), "cafe tractor weighs", hash))(t) || must(h.matches(t.Context(), "anything", ""))(t) {
		t.Error("a wrong password matched")
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hashed as %.40s", hash)
	}
}

func TestABurstOfPasswordsIsHashedAFewAtATimeAndTheRestIsSentAway(t *testing.T) {
	h := must(newHasher())(t)
	release := make(chan struct{})
	var all sync.WaitGroup
	running, refused := make(chan struct{}, queueLength), make(chan error, 2*queueLength)
	for range 2 * queueLength {
		all.Go(func() {
			err := h.alone(context.Background(), func() error { running <- struct{}{}; <-release; return nil })
			if err != nil {
				refused <- err
			}
		})
	}
	for range queueLength { // as many as do not find a place
		wants(t, <-refused, fault.RateLimited)
	}
	for range cap(h.turn) {
		<-running
	}
	if len(running) != 0 {
		t.Errorf("more than %d at a time", cap(h.turn))
	}
	close(release)
	all.Wait()
	if len(refused) != 0 {
		t.Errorf("%d of those in the queue were refused", len(refused))
	}
}

func TestWaitingDoublesUpToALimit(t *testing.T) {
	for failures, want := range map[int32]time.Duration{0: 0, 5: 0, 6: 30 * time.Second, 7: time.Minute, 10: 8 * time.Minute, 11: 15 * time.Minute,
		1 << 30: 15 * time.Minute} {
		if got := byAccount.wait(failures); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
}

func BenchmarkPasswordHash(b *testing.B) {
	h, err := newHasher()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.create(b.Context(), password); err != nil {
			b.Fatal(err)
		}
	}
}
