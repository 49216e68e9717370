// A server on the library go-smtp, as a small application would write one: it takes every sender and recipient, and hands
// what it accepted to the smart host. setup.sh builds it; beds/go-smtp.ts starts it.
//
//	go-smtp PORT SMARTHOST
package main

import (
	"io"
	"io/ioutil"
	"log"
	"net/smtp"
	"os"
	"strings"

	server "github.com/emersion/go-smtp"
)

type backend struct{ smartHost string }

func (b *backend) Login(_ *server.ConnectionState, _, _ string) (server.Session, error) {
	return nil, server.ErrAuthUnsupported
}

func (b *backend) AnonymousLogin(_ *server.ConnectionState) (server.Session, error) {
	return &session{smartHost: b.smartHost}, nil
}

// The envelope is kept as the library's own example keeps it: Mail sets, Rcpt adds, Reset empties.
type session struct {
	smartHost  string
	sender     string
	recipients []string
}

func (s *session) Reset()        { s.sender, s.recipients = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ server.MailOptions) error {
	s.sender = from
	return nil
}

func (s *session) Rcpt(to string) error {
	if to == "nobody@local.example" {
		return &server.SMTPError{Code: 550, EnhancedCode: server.EnhancedCode{5, 1, 1}, Message: "nobody here"}
	}
	s.recipients = append(s.recipients, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	content, err := ioutil.ReadAll(r)
	if err != nil {
		return err
	}
	if strings.HasPrefix(s.sender, "nomessage@") {
		return &server.SMTPError{Code: 554, EnhancedCode: server.EnhancedCode{5, 7, 1}, Message: "not this one"}
	}
	return smtp.SendMail(s.smartHost, nil, s.sender, s.recipients, content)
}

func main() {
	s := server.NewServer(&backend{smartHost: "127.0.0.1:" + os.Args[2]})
	s.Addr = "127.0.0.1:" + os.Args[1]
	s.Domain = "local.example"
	s.MaxMessageBytes = 100000
	s.AuthDisabled = true
	s.EnableSMTPUTF8 = true
	log.Fatal(s.ListenAndServe())
}
