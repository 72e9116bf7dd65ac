package setting

import (
	"strings"
	"testing"
)

func TestADatabaseURLIsNotRepeatedInItsError(t *testing.T) {
	_, err := Environ{"DATABASE_URL=postgres://u:hush@h:port/x"}.Database("192.0.2.1:5432", "", "test")
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v", err)
	}
}

func TestTheDatabaseIsWhereTheURLSaysOrAtTheEndpoint(t *testing.T) {
	for _, c := range []struct {
		sentence       string
		environ        Environ
		host, password string
		port           uint16
	}{
		{"nothing is set", nil, "192.0.2.1", "secret", 6432},
		{"a password without a URL is of something else", Environ{"POSTGRES_PASSWORD=given"}, "192.0.2.1", "secret", 6432},
		{"a password that the URL leaves out", Environ{"DATABASE_URL=postgres://u@h/x", "POSTGRES_PASSWORD=given"}, "h", "given", 5432},
		{"a URL with its own", Environ{"DATABASE_URL=postgres://u:own@h/x", "POSTGRES_PASSWORD=given"}, "h", "own", 5432},
		{"of two URLs the last", Environ{"DATABASE_URL=postgres://u@h/x", "DATABASE_URL=postgres://u@h2/x"}, "h2", "", 5432},
	} {
		config, err := c.environ.Database("192.0.2.1:6432", "secret", "test")
		if err != nil {
			t.Fatal(err)
		}
		got := config.ConnConfig
		if got.Host != c.host || got.Port != c.port || got.Password != c.password || got.RuntimeParams["application_name"] != "test" {
			t.Errorf("%s: %s:%d as %s", c.sentence, got.Host, got.Port, got.RuntimeParams["application_name"])
		}
	}
}

func TestAMisspeltSettingIsNamedWithoutItsValue(t *testing.T) {
	environ := Environ{"WEIR_STAET=hush", "WEIR_STATE=/x", "SLACK_HOOK=hush", "PATH=/bin"}
	err := environ.Unknown([]string{"WEIR_STATE"}, "WEIR_", "SLACK_")
	if err == nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "PATH") || !strings.Contains(err.Error(), "WEIR_STAET") || !strings.Contains(err.Error(), "SLACK_HOOK") {
		t.Errorf("error %v", err)
	}
	if err := environ.Unknown([]string{"WEIR_STATE", "WEIR_STAET"}, "WEIR_"); err != nil {
		t.Error(err)
	}
}
