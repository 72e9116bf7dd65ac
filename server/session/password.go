package session

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"

	"weir/ops/fault"
)

const (
	passwordMin = 12
	passwordMax = 256 // characters

	hashersMost = 4               // at a time, 19 MiB each, however many cores
	queueLength = 64              // passwords that wait for their turn
	turnLimit   = 5 * time.Second // and how long
)

// argon is what OWASP names for argon2id: 19 MiB, two passes, one thread. BenchmarkPasswordHash took
// 21 ms on one of two cores.
var argon = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hasher makes and compares password hashes, a few at a time: a burst of sign-ins leaves a core, and
// memory, to those who watch the chain.
type hasher struct {
	queue, turn chan struct{}
	dummy       string       // a hash that no password has
	made        atomic.Int64 // hashes computed, for the tests of what a stranger can measure
}

func newHasher() (*hasher, error) {
	dummy, err := argon2id.CreateHash(rand.Text(), argon)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	return &hasher{dummy: dummy, queue: make(chan struct{}, queueLength), turn: make(chan struct{}, min(max(1, runtime.NumCPU()-1), hashersMost))}, nil
}

// matches compares a password with a hash; "" stands for an account that is not there, and takes as
// long as any other.
func (h *hasher) matches(ctx context.Context, password, hash string) (match bool, err error) {
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	err = h.alone(ctx, func() error {
		match, err = argon2id.ComparePasswordAndHash(norm.NFKC.String(password), hash)
		return err
	})
	return match && known, err
}

func (h *hasher) create(ctx context.Context, password string) (hash string, err error) {
	err = h.alone(ctx, func() error {
		hash, err = argon2id.CreateHash(norm.NFKC.String(password), argon)
		return err
	})
	return hash, err
}

func (h *hasher) alone(ctx context.Context, do func() error) error {
	busy := fault.Errorf(fault.RateLimited, "Too many people sign in at this moment. Try again in a few seconds.")
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return busy
	}
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return busy
	}
	h.made.Add(1)
	return do()
}

// checkLength is what is asked of a password that is only compared: what is longer was never taken.
func checkLength(field, password string) error {
	if !utf8.ValidString(password) || utf8.RuneCountInString(password) > passwordMax {
		return fault.Field(field, "Passwords have at most %d characters.", passwordMax)
	}
	return nil
}

// checkPassword is what is asked of a new one: long, and not what is tried first. about is what an
// attacker knows of its owner.
func checkPassword(password string, about ...string) error {
	if err := checkLength("password", password); err != nil {
		return err
	}
	if utf8.RuneCountInString(password) < passwordMin {
		return fault.Field("password", "Use at least %d characters. A few words that do not belong together are easy to remember.", passwordMin)
	}
	if common(password) {
		return fault.Field("password", "This is among the first that attackers try. A few words that do not belong together are better.")
	}
	lower := strings.ToLower(password)
	for _, word := range about {
		word = strings.ToLower(word)
		if len(word) >= 3 && strings.Contains(lower, word) && len(lower)-len(word) < passwordMin/2 {
			return fault.Field("password", "Do not build it on your name or address.")
		}
	}
	return nil
}

// words are what common passwords are made of, one a line: our own list, not anybody's leak.
//
//go:embed common.txt
var wordList string

var words = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(wordList) {
		m[w] = true
	}
	return m
}()

// rows are what fingers and children run along, once forwards and once backwards.
var rows = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop",
	"qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "!@#$%^&*()",
	"zyxwvutsrqponmlkjihgfedcba", "98765432109876543210", "poiuytrewq", "lkjhgfdsa", "mnbvcxz",
}

// common reports whether a password is one of those tried first: few characters, a repetition, runs
// along a row, or at most three words of the list, however they are decorated.
func common(password string) bool {
	lower := strings.ToLower(norm.NFKC.String(password))
	return distinct(lower) < 5 || repeated(lower) || afterRuns(lower) < 4 || madeOfWords(lower)
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// repeated: a string that is found within itself twice over, off its ends, is a repetition.
func repeated(s string) bool {
	twice := s + s
	return strings.Contains(twice[1:len(twice)-1], s)
}

// afterRuns is how many characters are left without the runs of four and more along a row.
func afterRuns(s string) (left int) {
	for len(s) > 0 {
		if n := longestRun(s); n >= 4 {
			s = s[n:]
			continue
		}
		_, size := utf8.DecodeRuneInString(s)
		s, left = s[size:], left+1
	}
	return left
}

// longestRun is how much of the beginning of s runs along a row.
func longestRun(s string) (longest int) {
	for _, row := range rows {
		n := longest
		for n < len(s) && strings.Contains(row, s[:n+1]) {
			n++
		}
		longest = n
	}
	return longest
}

var (
	leet1i = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "@", "a", "$", "s")
	leet1l = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "@", "a", "$", "s")
)

func madeOfWords(s string) bool {
	core := strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && r != '@' && r != '$' })
	for _, spelling := range []string{core, leet1i.Replace(core), leet1l.Replace(core)} {
		if split(letters(spelling), 3) {
			return true
		}
	}
	return false
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, s)
}

// split reports whether s is at least one and at most so many words of the list.
func split(s string, most int) bool {
	if words[s] {
		return true
	}
	for i := 1; most > 1 && i < len(s); i++ {
		if words[s[:i]] && split(s[i:], most-1) {
			return true
		}
	}
	return false
}
