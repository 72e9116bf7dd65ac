// Package word writes numbers and errors for people.
package word

import "strconv"

// Count writes 12345 as 12,345.
func Count[T ~int | ~int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// Counted is a number with its noun: 1 pooler, 2 poolers.
func Counted[T ~int | ~int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}
