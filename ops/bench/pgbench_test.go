package bench

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func fixture(t testing.TB, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "pgbench17", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestAReportOfPgbench17IsReadWhole(t *testing.T) {
	const us = Millis(time.Microsecond)
	const second = Millis(time.Second)
	for _, test := range []struct {
		fixture, sentence string
		want              PgbenchReport
	}{
		{"tpcb", "TPC-B with progress", PgbenchReport{
			Version: "17.12", Transaction: "<builtin: TPC-B (sort of)>", Scale: 2, QueryMode: "simple", Clients: 8, Threads: 2,
			Processed: 5818, LatencyAverage: 4073 * us, LatencyStddev: 3300 * us, InitialConnection: 39990 * us, TPS: 1950.709873,
			Progress: []Progress{
				{At: second, TPS: 1808.0, Latency: 4234 * us, Stddev: 3247 * us},
				{At: 2 * second, TPS: 2036.9, Latency: 3921 * us, Stddev: 2719 * us},
				{At: 3 * second, TPS: 1966.1, Latency: 4056 * us, Stddev: 3793 * us},
			}}},
		{"counted", "-t instead of -T has no deviation, and a count over a count", PgbenchReport{
			Version: "17.12", Transaction: "<builtin: TPC-B (sort of)>", Scale: 2, QueryMode: "simple", Clients: 4, Threads: 1,
			Processed: 40, LatencyAverage: 2951 * us, InitialConnection: 17744 * us, TPS: 1355.610533}},
		{"select", "-S", PgbenchReport{
			Version: "17.12", Transaction: "<builtin: select only>", Scale: 2, QueryMode: "simple", Clients: 1, Threads: 1,
			Processed: 29393, LatencyAverage: 68 * us, LatencyStddev: 50 * us, InitialConnection: 6235 * us, TPS: 14741.483637,
			Progress: []Progress{
				{At: second, TPS: 16096.8, Latency: 62 * us, Stddev: 58 * us},
				{At: 2 * second, TPS: 13294.7, Latency: 75 * us, Stddev: 38 * us},
			}}},
		{"failed", "serialization failures count as failed", PgbenchReport{
			Version: "17.12", Transaction: "<builtin: TPC-B (sort of)>", Scale: 2, QueryMode: "simple", Clients: 8, Threads: 2,
			Processed: 3907, Failed: 19857, LatencyAverage: 775 * us, LatencyStddev: 418 * us, InitialConnection: 24737 * us, TPS: 1303.46735,
			Progress: []Progress{
				{At: second, TPS: 1349.7, Latency: 729 * us, Stddev: 271 * us, Failed: 6878},
				{At: 2 * second, TPS: 1519.2, Latency: 656 * us, Stddev: 158 * us, Failed: 7347},
				{At: 3 * second, TPS: 1037.5, Latency: 1010 * us, Stddev: 667 * us, Failed: 5632},
			}}},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			got, err := ParsePgbench(strings.NewReader(fixture(t, test.fixture)))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v\ngot  %+v\nwant %+v", err, got, test.want)
			}
		})
	}
}

func TestAClientThatGaveUpIsCounted(t *testing.T) {
	got, err := ParsePgbench(strings.NewReader(fixture(t, "killed")))
	if err != nil || got.Aborted != 2 || !got.Incomplete || got.Failed != 0 || got.Processed != 13107 {
		t.Errorf("%v: %+v", err, got)
	}
	if len(got.Errors) != 3 || got.Errors[0] != "client 7 script 0 aborted in command 4 query 0: FATAL:  terminating connection due to administrator command" {
		t.Errorf("errors are %q", got.Errors)
	}
}

func TestRetriesDoNotDisturbTheReading(t *testing.T) {
	got, err := ParsePgbench(strings.NewReader(fixture(t, "tries")))
	if err != nil || got.Processed != 3280 || got.Failed != 5396 || got.Progress[2].Failed != 1986 {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestARunThatDidNotStartHasNoReportButItsReason(t *testing.T) {
	for fixtureName, want := range map[string]string{
		"toomany":  "could not create connection for client 124",
		"password": "could not create connection for setup",
	} {
		got, err := ParsePgbench(strings.NewReader(fixture(t, fixtureName)))
		if !errors.Is(err, ErrNoReport) || len(got.Errors) != 2 || got.Errors[1] != want {
			t.Errorf("%s: %v, %q", fixtureName, err, got.Errors)
		}
	}
}

func TestWhatIsNoNumberIsAnErrorOrNothing(t *testing.T) {
	const done = "number of transactions actually processed: 0\n"
	for _, test := range []struct {
		sentence, text string
		ok             bool
	}{
		{"a report without transactions has no rate", done, true},
		{"nan is nothing", done + "latency average = nan ms\nprogress: 5.0 s, 0.0 tps, lat -nan ms stddev -nan, 0 failed\n", true},
		{"infinity is an error", done + "tps = inf (without initial connection time)\n", false},
		{"less than nothing is an error", done + "tps = -1.0 (without initial connection time)\n", false},
		{"a number too large for a duration is an error", done + "latency average = 99999999999999 ms\n", false},
		{"a count in words is an error", "number of transactions actually processed: many\n", false},
		{"a count beyond 64 bits is an error", done + "number of failed transactions: 99999999999999999999 (0.000%)\n", false},
		{"a rate that includes connecting is another measure", done + "tps = 12.0 (including reconnection times)\n", false},
		{"a line without end is an error", done + strings.Repeat("x", 2<<20), false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			if got, err := ParsePgbench(strings.NewReader(test.text)); (err == nil) != test.ok {
				t.Errorf("%v: %+v", err, got)
			}
		})
	}
}

func FuzzParsePgbench(f *testing.F) {
	for _, name := range []string{"tpcb", "counted", "killed", "failed", "tries", "toomany"} {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		report, err := ParsePgbench(strings.NewReader(text))
		if err != nil {
			return
		}
		if report.TPS < 0 || report.LatencyAverage < 0 || report.Processed < 0 || report.Failed < 0 || len(report.Errors) > 10 {
			t.Errorf("read %+v", report)
		}
		b, err := json.Marshal(report)
		if err != nil {
			t.Fatalf("%+v: %v", report, err)
		}
		var back PgbenchReport
		if err := json.Unmarshal(b, &back); err != nil || back.Processed != report.Processed {
			t.Errorf("%s: %v", b, err)
		}
	})
}
