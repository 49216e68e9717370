// Tests of others that come out otherwise with Postern between, and why.

const OUR_WORDS = 'refused by both, but Postern answers before the server hears of it: its own words, or another 5yz';
const UNSEEN =
  'a mechanism that Postern does not know, or that this EHLO reply did not offer, is hidden and not forwarded';
const NOT_AN_ADDRESS =
  'as a recipient refused on purpose: comments, routes, hidden second addresses, blanks outside quotes, empty names';
const HANGS_UP = 'the server closes without a word; the client hears a 4yz of ours for that and not nothing';
const NO_END =
  'of a command line without an end not one octet goes on: the server closes for silence, and not for its length';
const EARLY = 'what a client says before the greeting waits for it: the server behind hears no early talker';
const PROXY = 'the client says a PROXY header to Postern, which was not told to take one, or to say one to the server';

const KNOWN: readonly (readonly [test: RegExp, reason: string])[] = [
  // Python's smtplib
  [
    /SMTPAUTHInitialResponseSimTests.testAUTH_PLAIN_initial_response_auth$/,
    `it logs in without EHLO: ${UNSEEN} (RFC 4954 §3)`,
  ],
  [/SMTPSimTests.testAUTH_BUGGY$/, UNSEEN],
  [/SMTPSimTests.test__rest_from_mail_cmd$/, HANGS_UP],
  // Postfix
  [/^(CONNECT|EHLO|MAIL|RCPT|DATA|\.) hangs up$/, HANGS_UP],
  // smtp-server; the hook behind a test falls with it, and what stands behind that in its group is not run
  [/^SMTPServer Plaintext server with hidden STARTTLS (should connect with TLS|"after each" hook .*)$/, UNSEEN],
  [/^SMTPServer Plaintext server .* should close connection when command line is too long$/, NO_END],
  [/^SMTPServer Plaintext server .* should reject early talker$/, EARLY],
  [/^SMTPServer Plaintext server .* should reject HTTP requests$/, OUR_WORDS],
  [/^SMTPServer (Secure )?PROXY server /, PROXY],
  // aiosmtpd
  [/test_rcpt_valid_address\[(1[1-9]|2[023]|2[89]|3[016])\]$|test_bpo27931fix_e?smtp$/, NOT_AN_ADDRESS],
  [
    /test_mail_valid_address\[(18|30)\]$/,
    'a blank outside quotes ends the address; what follows is no parameter that was offered',
  ],
  [/test_bad_encodings$/, 'octets that are no UTF-8 are in no address (RFC 6531)'],
  [
    /TestSMTP::test_(binary\[.*|quit_with_args|no_helo\[(RCPT|DATA)\]|mail_from_twice|rset_with_arg|data_no_rcpt)$/,
    OUR_WORDS,
  ],
  [
    /TestSMTP::test_(mail|rcpt)_(smtp|esmtp)_errsyntax\[\w+\]$|TestSMTP::test_mail_esmtp_params_unrecognized$/,
    OUR_WORDS,
  ],
  [/TestSMTP::test_(rcpt_no_mail|rcpt_unknown_params|rcpt_invalid_address\[[01]\]|data_invalid_params)$/, OUR_WORDS],
  [/TestSMTP::test_(empty_command|(way_)?too_long_command|unknown_command)$/, OUR_WORDS],
  [/TestSMTPAuth::test_(no_ehlo|helo|not_enough_values|already_authenticated|rset_maintain_authenticated)$/, OUR_WORDS],
  [/TestAuthMechanisms::test_(ehlo|not_supported_mechanism\[.*\]|custom_mechanism|disabled_mechanism)$/, UNSEEN],
  [/TestAuthMechanisms::test_(DENYFALSE|DENYMISSING|NONE)$|test_auth_loginteract_warning$/, UNSEEN],
  [
    /TestAuthMechanisms::test_(plain1_(bad_base64_\w+|too_many_values|empty)|plain2_\w+|login[23]_bad_base64)$/,
    OUR_WORDS,
  ],
  [
    /TestRequiredAuthentication::test_(rcpt|data)_\w+$|TestSMTPWithController::test_mail_(with_size_too_large|invalid_body)$/,
    OUR_WORDS,
  ],
  [/TestStrictASCII::test_(bad_encoded_param|mail_param)$|TestLimits::test_limit_bogus$/, OUR_WORDS],
  [
    /TestNoTLS::test_disabled_tls$|TestStartTLS::test_(starttls_arg|tls_bad_syntax)$|TestRequireTLS\w*::test_\w+$/,
    OUR_WORDS,
  ],
  [/TestStartTLS::test_helo_starttls$/, 'STARTTLS is only taken where an EHLO reply offered it, not behind HELO'],
  [/TestTLSForgetsSessionData::test_forget_(mail|rcpt)$/, 'STARTTLS within a mail transaction is refused'],
  [/test_exception_handler_multiple_connections_lost$|test_close_after_helo$|TestTimeout::test_timeout$/, HANGS_UP],
  [/TestSMTP::test_data_354$/, `${HANGS_UP} (at its teardown: QUIT in mail data)`],
  [/test_lmtp.py::test_lhlo$/, 'LMTP is another protocol: LHLO is not forwarded'],
  [/TestDebugging::test_debugging\w*$/, 'the address and port that the server sees are those of Postern'],
  [/TestHooks::test_hook_EHLO_(deprecated|new)$/, 'lines of an EHLO reply that Postern does not know are taken out'],
];

export function reasonFor(test: string): string | null {
  return KNOWN.find(([pattern]) => pattern.test(test))?.[1] ?? null;
}
