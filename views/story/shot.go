package story

import (
	"github.com/a-h/templ"

	"weir/views/account"
	"weir/views/admin"
	"weir/views/chain"
	"weir/views/chain/chaintest"
	"weir/views/config"
	"weir/views/incident"
	"weir/views/layout"
	"weir/views/metric"
	"weir/views/postgres"
	"weir/views/ui"
)

// Shot is one page in one state, on canned data.
type Shot struct {
	Name    string // of the address: postgres-away
	Title   string
	Section layout.Section
	Charts  bool
	Content templ.Component
}

// Shots are the pages behind the chain's own, each in every state that it has.
func Shots() []Shot {
	healthy, down := chaintest.Healthy().View(), chaintest.Healthy().NoPostgres().View()
	return append(chainShots(), []Shot{
		{"postgres", "PostgreSQL", layout.Postgres, false, postgres.Content(Postgres())},
		{"postgres-quiet", "PostgreSQL: nothing runs", layout.Postgres, false, postgres.Content(PostgresQuiet())},
		{"postgres-away", "PostgreSQL does not answer", layout.Postgres, false, postgres.Content(postgresWithout(down, Away))},
		{"postgres-loading", "PostgreSQL: being read", layout.Postgres, false, postgres.Content(postgresWithout(chaintest.Nothing().View(), ui.Missing{Loading: true}))},
		{"postgres-error", "PostgreSQL: could not be asked", layout.Postgres, false, postgres.Content(postgresWithout(healthy, unreadable))},
		{"postgres-viewer", "PostgreSQL for a viewer", layout.Postgres, false, postgres.Content(PostgresViewer())},
		{"postgres-terminate", "Terminate a session", layout.Postgres, false, postgres.Confirmation(Terminate())},
		{"postgres-gone", "Cancel a session that is gone", layout.Postgres, false, postgres.Confirmation(CancelGone())},

		{"incidents", "Incidents", layout.Incidents, false, incident.List(Incidents())},
		{"incidents-none", "Incidents: none yet", layout.Incidents, false, incident.List(incident.ListModel{Clock: clock})},
		{"incidents-filtered", "Incidents: none fits", layout.Incidents, false, incident.List(IncidentsFiltered())},
		{"incidents-away", "Incidents while PostgreSQL is away", layout.Incidents, false, incident.List(incident.ListModel{Clock: clock, Now: incident.Now(down), Missing: Away})},
		{"incidents-loading", "Incidents: being read", layout.Incidents, false, incident.List(incident.ListModel{Clock: clock, Missing: ui.Missing{Loading: true}})},
		{"incident", "An open incident", layout.Incidents, true, incident.Content(Incident())},
		{"incident-flapping", "An incident that flaps, and nobody was told", layout.Incidents, true, incident.Content(IncidentFlapping())},
		{"incident-silenced", "An incident that is silenced", layout.Incidents, true, incident.Content(IncidentSilenced())},
		{"incident-over", "An incident that is resolved", layout.Incidents, true, incident.Content(IncidentOver())},
		{"incident-away", "An incident while PostgreSQL is away", layout.Incidents, false, incident.Content(incident.Model{Clock: clock, Missing: Away})},
		{"incident-acknowledge", "Acknowledge", layout.Incidents, false, ui.ConfirmForm(Acknowledge().Confirm())},

		{"metrics", "Metrics", layout.Metrics, true, metric.Content(Metrics())},
		{"metrics-empty", "Metrics: nothing sampled", layout.Metrics, true, metric.Content(metric.Model{Clock: clock, Range: hour()})},
		{"metrics-wrong", "Metrics: a wrong range", layout.Metrics, true, metric.Content(MetricsWrong())},
		{"metrics-away", "Metrics while PostgreSQL is away", layout.Metrics, true, metric.Content(metric.Model{Clock: clock, Range: hour(), Missing: Away})},

		{"configuration", "Configuration", layout.Configuration, false, config.List(ConfigHosts(healthy))},
		{"configuration-forbidden", "Configuration for a viewer", layout.Configuration, false, config.List(config.ListModel{View: healthy, Missing: ui.Missing{Role: "operator"}})},
		{"configuration-pooler", "Configuration of a pooler", layout.Configuration, false, config.Content(Config())},
		{"configuration-node", "Configuration that cannot be compared", layout.Configuration, false, config.Content(ConfigNode())},

		{"account", "Account", layout.Account, false, account.Content(Profile())},
		{"account-viewer", "Account of a viewer, while PostgreSQL is away", layout.Account, false, account.Content(ProfileAway())},
		{"account-password", "Change the password", layout.Account, false, account.PasswordForm(account.Password{Email: "ada@example.org", Faults: ui.Faults{{Field: "old", Message: "That is not your password."}}})},
		{"account-begin", "Set up a second factor", layout.Account, false, account.ProofForm(account.Proof{Step: account.Begin, Email: "ada@example.org"})},
		{"account-enrol", "The second factor's secret", layout.Account, false, account.EnrolmentForm(Enrolment())},
		{"account-enrol-again", "A wrong first code", layout.Account, false, account.EnrolmentForm(account.Enrolment{Faults: ui.Faults{{Field: "code", Message: "This code is wrong, or was used before."}}})},
		{"account-codes", "Recovery codes", layout.Account, false, account.CodesShown(account.Codes{Codes: []string{"k7mq-2f9d", "x4np-81ab", "w2rt-66yz", "h9kc-03vd", "m5sa-77pe", "b8uj-14qf", "t3xg-92rm", "c6yl-58nh"}})},
		{"account-token", "Make a token", layout.Account, false, account.TokenNew(account.TokenForm{Roles: []layout.Role{layout.SeesOnly, layout.Operator, layout.Administrator}})},
		{"account-token-made", "A token that was made", layout.Account, false, account.TokenMade(account.Made{Clock: clock, Secret: "weir_4f9d2c71b8e6a05d3f9d2c71b8e6a05d", Token: Tokens()[0]})},
		{"account-revoke", "Revoke a token", layout.Account, false, ui.ConfirmForm(account.Revocation{Token: Tokens()[0], Verdict: ui.Verdict{Clock: clock}}.Confirm())},

		{"admin", "People", layout.Admin, false, admin.PeopleContent(People())},
		{"admin-away", "People while PostgreSQL is away", layout.Admin, false, admin.PeopleContent(admin.People{Clock: clock, Role: layout.Administrator, Missing: Away})},
		{"admin-forbidden", "People for an operator", layout.Admin, false, admin.PeopleContent(admin.People{Clock: clock, Role: layout.Operator, Missing: ui.Missing{Role: "administrator"}})},
		{"admin-person", "A person", layout.Admin, false, admin.PersonContent(Person())},
		{"admin-role", "Another role", layout.Admin, false, ui.ConfirmForm(admin.Changing{Change: admin.SetRole, Person: People().People[1], Verdict: ui.Verdict{Clock: clock}}.Confirm())},
		{"admin-disable", "Disable an account", layout.Admin, false, ui.ConfirmForm(admin.Changing{Change: admin.Disable, Person: People().People[1], Verdict: ui.Verdict{Clock: clock}}.Confirm())},
		{"admin-invite", "Invite somebody", layout.Admin, false, admin.InvitationContent(admin.Invitation{Email: "ada", Role: layout.Operator, Faults: ui.Faults{{Field: "email", Message: "That is no e-mail address."}}})},
		{"admin-link", "An invitation", layout.Admin, false, admin.LinkContent(admin.LinkShown{Clock: clock, Kind: admin.Invite, Email: "grace@example.org", URL: "http://127.0.0.1:3000/invitation/dK3v9QzR5mX2pLs7tYb8Wc", Expires: chaintest.Noon.Add(day), Back: "/admin"})},
		{"admin-tokens", "Tokens of everybody", layout.Admin, false, admin.TokensContent(admin.Tokens{Clock: clock, Role: layout.Administrator, Tokens: account.Tokens{List: Tokens()}})},
		{"admin-sessions", "Sessions of everybody", layout.Admin, false, admin.SessionsContent(admin.Sessions{Clock: clock, Role: layout.Administrator, Sessions: account.Sessions{List: Sessions()}})},
		{"admin-silences", "Silences", layout.Admin, false, admin.SilencesContent(Silences())},
		{"admin-silences-none", "Silences: none", layout.Admin, false, admin.SilencesContent(admin.Silences{Clock: clock, Role: layout.Operator, Channels: admin.Channels{List: Notifications().Channels.List[:1]}})},
		{"admin-silences-nobody", "Silences: nobody is told anyway", layout.Admin, false, admin.SilencesContent(admin.Silences{Clock: clock, Role: layout.Operator, Channels: NoChannels()})},
		{"admin-silence", "Silence", layout.Admin, false, ui.ConfirmForm(SilenceForm("pooler-down/pgb2").Confirm())},
		{"admin-silence-new", "Silence: nothing chosen", layout.Admin, false, ui.ConfirmForm(SilenceForm("").Confirm())},
		{"admin-silence-all", "Silence everything", layout.Admin, false, ui.ConfirmForm(SilenceForm("*").Confirm())},
		{"admin-notifications", "Notifications", layout.Admin, false, admin.NotificationsContent(Notifications())},
		{"admin-notifications-none", "Notifications: nowhere", layout.Admin, false, admin.NotificationsContent(admin.Notifications{Clock: clock, Role: layout.Operator, Channels: NoChannels()})},
		{"admin-notifications-deaf", "Notifications: the monitor does not answer", layout.Admin, false, admin.NotificationsContent(admin.Notifications{Clock: clock, Role: layout.Operator, Channels: admin.Channels{Deaf: true}})},
		{"admin-audit", "Audit", layout.Admin, false, admin.AuditContent(Audit())},
		{"admin-audit-wrong", "Audit: a wrong moment", layout.Admin, false, admin.AuditContent(AuditWrong())},
		{"admin-audit-away", "Audit while PostgreSQL is away", layout.Admin, false, admin.AuditContent(admin.Audit{Clock: clock, Role: layout.Operator, Missing: Away})},
	}...)
}

// FindShot is the shot of a name.
func FindShot(name string) (Shot, bool) {
	for _, s := range Shots() {
		if s.Name == name {
			return s, true
		}
	}
	return Shot{}, false
}

func postgresWithout(v chain.View, m ui.Missing) postgres.Model {
	return postgres.Model{View: v, Show: postgres.Busy, Operates: true, Activity: postgres.Activity{Missing: m}, Top: postgres.Top{By: postgres.TotalTime, Missing: m}}
}
