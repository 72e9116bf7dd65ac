package bench

import (
	"strconv"
	"time"
)

// Millis is a duration that JSON carries as a number of milliseconds, to the microsecond.
type Millis time.Duration

func (m Millis) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, m.float(), 'f', -1, 64), nil
}

func (m *Millis) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	*m = millis(v)
	return err
}

func (m Millis) float() float64 {
	return float64(time.Duration(m).Round(time.Microsecond)) / float64(time.Millisecond)
}

func millis(v float64) Millis { return Millis(v * float64(time.Millisecond)) }

// String is 0.38 ms, 12 ms or 4.25 s: three digits that count, whatever the size.
func (m Millis) String() string {
	switch v := m.float(); {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64) + " ms"
	case v < 1000:
		return strconv.FormatFloat(v, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(v/1000, 'f', 2, 64) + " s"
	}
}
