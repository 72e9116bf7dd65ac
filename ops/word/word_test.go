package word

import "testing"

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(12345), "12,345"}, {Count(int64(1234567)), "1,234,567"}, {Count(-1000), "-1,000"}, {Count(-999), "-999"},
		{Counted(0, "pooler"), "0 poolers"}, {Counted(1, "pooler"), "1 pooler"}, {Counted(int64(8000), "client place"), "8,000 client places"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
