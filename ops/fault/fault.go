// Package fault is the errors that people and programs outside are told about: a code from a fixed
// list, the field that is wrong, and a sentence that says what to do next. Everything else is
// Internal, and what it was stays in the log.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Code says what kind of error it is. Codes are part of the API: none is renamed.
type Code string

const (
	Invalid         Code = "invalid"         // the request is wrong; Field says where
	Unauthenticated Code = "unauthenticated" // nobody is signed in
	Forbidden       Code = "forbidden"       // the role does not allow it
	NotFound        Code = "not_found"       // there is no such thing
	Conflict        Code = "conflict"        // something else got there first
	Refused         Code = "refused"         // it would hurt: the pre-flight's reasons are in the message
	RateLimited     Code = "rate_limited"    // too many of them: later
	Unavailable     Code = "unavailable"     // a part of the chain did not answer or obey
	Timeout         Code = "timeout"         // it took longer than it may
	Internal        Code = "internal"        // a mistake of ours
)

// Codes are all of them.
var Codes = []Code{Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Refused, RateLimited, Unavailable, Timeout, Internal}

// Error is an error that may be shown. Field and Message are for people; Err is for the log only.
type Error struct {
	Code    Code
	Field   string // of the input, "" when it is none's
	Message string
	Err     error // the cause, nil when the message says it all
}

// Error is for the log: the message and its cause.
func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error with nothing behind it.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Field says that one field of the input is wrong, and what it has to be.
func Field(field, format string, args ...any) error {
	return &Error{Code: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Wrap puts a sentence for people before a cause that is for the log.
func Wrap(code Code, err error, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// CodeOf is the code of the outermost Error, "" for nil. A context that ran out is Timeout, all else
// is Internal.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Internal
}

// MessageOf is what a person may read of an error, "" for nil. Of an error that is not an Error
// that is nothing but its kind.
func MessageOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e) && e.Code != Internal:
		return e.Message
	case CodeOf(err) == Timeout:
		return "It took too long. Try again."
	}
	return "Something went wrong here. The log says what."
}

// FieldOf is the field of the input that an error is about, "" when it is none's.
func FieldOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Field
	}
	return ""
}
