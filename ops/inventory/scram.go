package inventory

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// ScramVerifier is what PostgreSQL and PgBouncer store in place of a password, in the form of
// pg_authid.rolpassword (RFC 5803). It is the same at every rendering and on
// every pooler, as pass-through logins need: the salt
// comes from the user's name, not from the password, because the server shows it to everybody who
// asks. That is enough where every password is generated (inventory.Secrets).
func ScramVerifier(user, password string) (string, error) {
	const iterations = 4096 // what both count with by default; each login costs the client this much
	seed := sha256.Sum256([]byte("weir scram salt: " + user))
	salt := seed[:16]
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive the SCRAM verifier of %s: %w", user, err)
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(keyed(salted, "Server Key"))), nil
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
