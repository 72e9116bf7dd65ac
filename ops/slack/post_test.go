package slack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/ops/incident"
)

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

var (
	bySlackWebhook = Settings{SlackWebhookURL: webhookURL}
	byBot          = Settings{SlackBotToken: botToken, SlackChannel: "#ops"}
	byAlert        = Settings{AlertWebhookURL: alertURL}
)

func TestAWebhookGetsOneMessageOnOpeningAndOneOnResolution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, bySlackWebhook)
		for n, r := range []incident.Reason{incident.First, incident.Louder, incident.Remind, incident.Unsteady, incident.RecoverOK} {
			o.say(t, "i1", n+1, r)
		}
		o.run(time.Minute)
		expect(t, "accepted", o.fake.seen, []string{"/services/T00/B00/secretwebhookpath WARNING: pgb2 down", "/services/T00/B00/secretwebhookpath RESOLVED: pgb2 down "})
	})
}

func TestABotEditsOneMessageAndTellsChangesInItsThread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byBot)
		go o.run(time.Minute)
		for n, r := range []incident.Reason{incident.First, incident.Other, incident.Unsteady, incident.Louder, incident.RecoverOK} {
			o.say(t, "i1", n+1, r)
			time.Sleep(5 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		impact := "2 of 3 poolers serving, 8,000 client places left, 1,234 in use."
		expect(t, "accepted", o.fake.seen, []string{
			"chat.postMessage  WARNING: pgb2 down",
			"chat.update 1.0 WARNING: pgb2 down",
			"chat.update 1.0 WARNING: pgb2 down",
			"thread 1.0 *Flapping*: it keeps coming back. Nothing more is said until it has been gone, or has stayed, for a minute.",
			"chat.update 1.0 WARNING: pgb2 down",
			"loud thread 1.0 *Worse, now warning*: pgb2 down. " + impact,
			"chat.update 1.0 RESOLVED: pgb2 down ",
			"loud thread 1.0 *Resolved*: pgb2 down, after 42 s.",
		})
	})
}

func TestAMessageThatSomebodyDeletedIsPostedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byBot)
		o.say(t, "i1", 1, incident.First)
		o.run(5 * time.Second)
		o.fake.answers(says(`{"ok":false,"error":"message_not_found"}`), 1)
		o.say(t, "i1", 2, incident.RecoverOK)
		o.run(5 * time.Second)
		expect(t, "accepted", o.fake.seen, []string{"chat.postMessage  WARNING: pgb2 down", "chat.postMessage  RESOLVED: pgb2 down "})
	})
}

func TestAFewAtOnceAndThenOneASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byBot)
		const messages = 8
		for n := range messages {
			o.say(t, fmt.Sprintf("i%d", n), 1, incident.First)
		}
		o.run(time.Minute)
		if len(o.fake.tried) != messages {
			t.Fatalf("%d requests", len(o.fake.tried))
		}
		for n := range messages {
			earliest := time.Duration(max(0, n+1-burst)) * pace
			if at := o.fake.tried[n].Sub(o.fake.tried[0]); at < earliest {
				t.Errorf("request %d came after %v, and not before %v", n+1, at, earliest)
			}
		}
	})
}

func TestAMessageIsSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byBot)
		go o.run(time.Minute)
		time.Sleep(30 * time.Second)
		before := time.Now()
		o.say(t, "i1", 1, incident.First)
		synctest.Wait()
		if len(o.fake.tried) != 1 || o.fake.tried[0].Sub(before) > 0 {
			t.Errorf("tried %v, put at %v", o.fake.tried, before)
		}
		time.Sleep(time.Minute)
	})
}

// Each row is one sentence about how the other side fails, and how long the message then takes.
func TestAFailureDelaysAMessageAndLosesNone(t *testing.T) {
	tests := []struct {
		sentence string
		fail     func(*fakeSlack)
		after    time.Duration
	}{
		{"nothing fails", func(*fakeSlack) {}, 0},
		{"429 is obeyed to the second", func(f *fakeSlack) { f.answers(code(429, "17"), 1) }, 17 * time.Second},
		{"429 without a time backs off", func(f *fakeSlack) { f.answers(code(429, ""), 2) }, 3 * time.Second},
		{"500 for a while backs off", func(f *fakeSlack) { f.answers(code(500, ""), 5) }, 31 * time.Second},
		{"the back-off has a cap", func(f *fakeSlack) { f.answers(code(503, ""), 9) }, (63 + 3*60) * time.Second},
		{"a hang is given up after 10 s", func(f *fakeSlack) { f.answers(hangs, 2) }, 23 * time.Second},
		{"a refused connection backs off", func(f *fakeSlack) { f.answers(refuses, 3) }, 7 * time.Second},
	}
	for _, test := range tests {
		for to, settings := range map[string]Settings{"webhook": bySlackWebhook, "bot": byBot, "alert": byAlert} {
			t.Run(test.sentence+", "+to, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := newOffice(t, settings)
					test.fail(o.fake)
					began := time.Now()
					o.say(t, "i1", 1, incident.First)
					o.run(10 * time.Minute)
					if len(o.fake.seen) != 1 {
						t.Fatalf("accepted %q", o.fake.seen)
					}
					if took := o.fake.tried[len(o.fake.tried)-1].Sub(began); took != test.after {
						t.Errorf("took %v, want %v", took, test.after)
					}
					if last := o.deliveries[len(o.deliveries)-1]; last != "i1/1 sent " {
						t.Errorf("deliveries %q", o.deliveries)
					}
				})
			})
		}
	}
}

func TestARefusalForGoodIsLoggedOnceAndDroppedWithItsReason(t *testing.T) {
	tests := []struct {
		to, reason string
		settings   Settings
		answer     func(http.ResponseWriter, *http.Request) error
	}{
		{"webhook", "slack server error: 404 Not Found", bySlackWebhook, code(404, "")},
		{"bot", "channel_not_found", byBot, says(`{"ok":false,"error":"channel_not_found"}`)},
		{"alert", "slack server error: 403 Forbidden", byAlert, code(403, "")},
	}
	for _, test := range tests {
		t.Run(test.to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, test.settings)
				o.fake.answers(test.answer, 1)
				o.say(t, "i1", 1, incident.First)
				o.say(t, "i2", 1, incident.First)
				o.run(time.Minute)
				if len(o.fake.seen) != 1 || len(o.fake.tried) != 2 {
					t.Errorf("%d requests, accepted %q: the one behind it was not delivered", len(o.fake.tried), o.fake.seen)
				}
				if n := strings.Count(o.log.String(), "dropped"); n != 1 {
					t.Errorf("logged %d times: %s", n, o.log)
				}
				if !slices.Contains(o.deliveries, "i1/1 failed "+test.reason) {
					t.Errorf("deliveries %q", o.deliveries)
				}
			})
		})
	}
}

func TestWhatWaitsForOneIncidentCollapsesIntoTheOpeningAndTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byAlert)
		o.fake.answers(code(500, ""), 6)
		go o.run(5 * time.Minute)
		for n, r := range []incident.Reason{incident.First, incident.Louder, incident.Unsteady, incident.Remind, incident.RecoverOK} {
			o.say(t, "i1", n+1, r)
			o.say(t, fmt.Sprintf("other%d", n), 1, incident.First)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		var events []string
		for _, line := range o.fake.seen {
			events = append(events, strings.Fields(line)[1])
		}
		expect(t, "events", events, []string{"first", "first", "first", "first", "first", "resolved", "first"})
		for n := 2; n <= 4; n++ {
			if !slices.Contains(o.deliveries, fmt.Sprintf("i1/%d collapsed ", n)) {
				t.Errorf("i1/%d did not collapse: %q", n, o.deliveries)
			}
		}
	})
}

func TestARestartInTheMiddleLosesNothingAndRepeatsNothing(t *testing.T) {
	for to, settings := range map[string]Settings{"webhook": bySlackWebhook, "bot": byBot, "alert": byAlert} {
		t.Run(to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, settings)
				for n := range 4 {
					o.say(t, fmt.Sprintf("i%d", n), 1, incident.First)
				}
				for range 20 { // a new process every 700 ms
					o.run(700 * time.Millisecond)
					o = open(t, settings, o.fake, o.path)
					o.say(t, "i0", 1, incident.First) // which the monitor may decide again
					o.say(t, "i0", 2, incident.RecoverOK)
				}
				o.run(time.Minute)
				seen := map[string]int{}
				for _, line := range o.fake.seen {
					seen[line]++
				}
				opened, resolved := 0, 0
				for line, n := range seen {
					switch {
					case strings.Contains(line, "esolved") || strings.Contains(line, "RESOLVED"):
						resolved += n
					default:
						opened += n
					}
				}
				wantResolved := map[string]int{"webhook": 1, "bot": 2, "alert": 1}[to] // the bot edits, and tells the thread
				if opened != 4 || resolved != wantResolved {
					t.Errorf("accepted %q", o.fake.seen)
				}
			})
		})
	}
}

func TestAnEndIsTakenInOnceUnderTheKeyThatItHadOnceAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byAlert)
		over := sample()
		over.State = incident.OK
		for _, put := range []struct {
			sentence, key string
			resolved      time.Duration
			want          int
		}{
			{"an end as it was once", "i1/1", 0, 1},
			{"decided again", "i1/1/ok", 0, 1},
			{"what was said before the end is not the end", "i1/1/ok", time.Second, 2},
			{"decided again it is", "i1/1/ok", time.Second, 2},
		} {
			over.ResolvedAt = time.Now().Add(put.resolved)
			o.Put(over, incident.Decision{Reason: incident.First, Key: put.key}, time.Now())
			if len(o.deliveries) != put.want {
				t.Errorf("%s: %q", put.sentence, o.deliveries)
			}
		}
	})
}

func TestARequestUnderWayAtTheEndIsAnsweredAndNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byAlert)
		o.fake.answers(func(w http.ResponseWriter, r *http.Request) error {
			select {
			case <-time.After(time.Second):
				o.fake.accept(w, r, []byte(`"event":"slow"`))
				return nil
			case <-r.Context().Done():
				return r.Context().Err()
			}
		}, 1)
		o.say(t, "i1", 1, incident.First)
		o.run(500 * time.Millisecond)
		again := open(t, byAlert, o.fake, o.path)
		again.run(time.Minute)
		if len(o.fake.tried) != 1 {
			t.Errorf("tried %d times", len(o.fake.tried))
		}
	})
}

func TestTheEndComesWithinTwoSecondsThoughTheOtherSideHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, byBot)
		o.fake.answers(hangs, 100)
		o.say(t, "i1", 1, incident.First)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(3*time.Second, cancel)
		began := time.Now()
		o.Run(ctx)
		if took := time.Since(began) - 3*time.Second; took > 2*time.Second {
			t.Errorf("took %v after the order to end", took)
		}
		if waiting, _ := o.Outbox.Waiting("slack"); waiting != 1 {
			t.Errorf("%d waiting: what was not accepted must stay", waiting)
		}
	})
}

func TestNoSecretIsEverInALogOrAnErrorOrTheOutbox(t *testing.T) {
	byWebhooks := Settings{SlackWebhookURL: webhookURL, AlertWebhookURL: alertURL}
	byBoth := Settings{SlackBotToken: botToken, SlackChannel: "#ops", SlackWebhookURL: webhookURL, AlertWebhookURL: alertURL}
	for _, settings := range []Settings{byWebhooks, byBoth} {
		for name, fail := range map[string]func(http.ResponseWriter, *http.Request) error{
			"429": code(429, "1"), "429 nonsense": code(429, "soon"), "500": code(500, ""), "302": code(302, ""), "404": code(404, ""),
			"hang": hangs, "refused": refuses, "not JSON": says("<html>"), "invalid_auth": says(`{"ok":false,"error":"invalid_auth"}`),
			"echo": func(_ http.ResponseWriter, r *http.Request) error {
				return errors.New("token=" + settings.SlackBotToken + " " + webhookURL + " " + alertURL + " /in/secretalertpath")
			},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := newOffice(t, settings)
					o.fake.answers(fail, 6)
					o.say(t, "i1", 1, incident.First)
					o.say(t, "i1", 2, incident.RecoverOK)
					o.run(20 * time.Second)
					file, err := os.ReadFile(o.path)
					if err != nil {
						t.Fatal(err)
					}
					written := o.log.String() + strings.Join(o.deliveries, "\n") + string(file)
					if i := strings.Index(written, "secret"); i >= 0 {
						t.Errorf("%s: …%s", name, written[max(0, i-80):min(len(written), i+40)])
					}
					if strings.Contains(o.log.String(), "Post ") {
						t.Errorf("%s: net/http's wrapping, with the address, is in the log: %s", name, o.log)
					}
					if name != "not JSON" && (name != "invalid_auth" || settings == byBoth) && !strings.Contains(o.log.String(), "reason=") {
						t.Errorf("%s: nothing was logged", name)
					}
				})
			})
		}
	}
}

func TestSettingsNameAllThatIsWrongAndNoValue(t *testing.T) {
	err := Settings{SlackWebhookURL: "secret", SlackBotToken: "secret", AlertWebhookURL: "ftp://secret"}.Validate()
	for _, name := range []string{"SLACK_WEBHOOK_URL", "SLACK_CHANNEL", "ALERT_WEBHOOK_URL"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("a value is in: %v", err)
	}
}

func TestAnOutboxThatCannotBeReadIsAnError(t *testing.T) {
	path := t.TempDir() + "/outbox.json"
	if err := os.WriteFile(path, []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOutbox(path); err == nil || !strings.Contains(err.Error(), "outbox.json") {
		t.Errorf("error %v does not name the file", err)
	}
}

func TestADiskThatCannotTakeAMessageKeepsNobodySilentAndMakesNoneTwice(t *testing.T) {
	for to, settings := range map[string]Settings{"webhook": bySlackWebhook, "bot": byBot, "alert": byAlert} {
		t.Run(to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir() + "/gone"
				o := open(t, settings, &fakeSlack{}, dir+"/outbox.json")
				if err := o.Outbox.Flush(); err != nil {
					t.Errorf("nothing to write: %v", err)
				}
				for range 3 { // which the monitor may decide again
					o.say(t, "i1", 1, incident.First)
					o.run(time.Minute)
				}
				o.say(t, "i2", 1, incident.First)
				if err := o.Outbox.Flush(); err == nil || len(o.fake.seen) != 1 || !strings.Contains(o.log.String(), "not on disk") {
					t.Errorf("accepted %q, error %v, log %s", o.fake.seen, err, o.log)
				}
				if err := errors.Join(os.Mkdir(dir, 0o700), o.Outbox.Flush()); err != nil {
					t.Errorf("the disk is there again: %v", err)
				}
				next := open(t, settings, o.fake, o.path)
				next.say(t, "i1", 1, incident.First)
				next.run(time.Minute)
				if len(o.fake.seen) != 2 {
					t.Errorf("the next process has them all, and accepted is %q", o.fake.seen)
				}
			})
		})
	}
}

func TestATestMessageGoesToItsChannelAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, Settings{SlackBotToken: botToken, SlackChannel: "#ops", AlertWebhookURL: alertURL})
		for range 2 { // the same one twice is one message
			o.Test("row-1", "slack", time.Now())
		}
		o.run(time.Minute)
		expect(t, "accepted", o.fake.seen, []string{"chat.postMessage  INFO: Test message"})
		expect(t, "deliveries", o.deliveries, []string{"test/row-1 pending ", "test/row-1 sent "})
	})
}

func TestATestMessageToAChannelThatIsNotSetUpFailsAndSaysSo(t *testing.T) {
	o := newOffice(t, byBot)
	o.Test("row-1", "webhook", time.Now())
	expect(t, "deliveries", o.deliveries, []string{"test/row-1 failed not set up: the monitor has no address for it"})
}
