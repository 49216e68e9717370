// What of a refused line may stand in a log: its verb, and what was said, but never what may be part of a login.
//
// A password does not only stand behind AUTH. A client whose AUTH was refused often goes on as if it had been accepted, and
// says name and password as lines of their own; and who writes AUTH in an odd way still writes the password behind it. So a
// line is shown whole only when its verb is one of the words below. Not here: how a log escapes and bounds it.

/** Verbs that no secret stands behind. */
const PLAIN = new Set(
  `EHLO HELO LHLO MAIL RCPT DATA RSET NOOP QUIT VRFY EXPN HELP BDAT STARTTLS X-ANONYMOUSTLS XEXCH50 X-LINK2STATE XRDST
  XSHADOW XQDISCARD ETRN TURN ATRN SEND SOML SAML XCLIENT XFORWARD PROXY`.split(/\s+/),
);
const MECHANISM =
  /^(?:PLAIN|LOGIN|CRAM-MD5|DIGEST-MD5|NTLM|GSSAPI|GSS-SPNEGO|EXTERNAL|ANONYMOUS|X?OAUTH(?:2|BEARER)|SCRAM-[A-Z0-9-]{1,20})(?= |$)/i;
// Also of POP, IMAP and HTTP, which come to the wrong port.
const LOGIN = /AUTH|X-EXPS|USER|PASS|LOGIN|APOP|TOKEN|COOKIE/i;
/** A word in base64: what stands behind an AUTH whose own line was lost on the way, or was none. A verb is in one case. */
const BASE64 =
  /^(?=.*[a-z])(?=.*[A-Z0-9+/=])(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$/;

export const WITHHELD = '(withheld: it may be part of a login)';

export interface Said {
  /** In upper case; '' where the first word is not fit to be shown. */
  readonly verb: string;
  readonly text: string;
  /** A login was tried, so lines behind it may be parts of one. */
  readonly login: boolean;
}

/** `triedLogin`: AUTH was said before. `line` without its line end. */
export function readSaid(line: string, triedLogin: boolean): Said {
  const word = /^[^ ]{0,40}(?= |$)/.exec(line)?.[0] ?? '';
  const verb = word.toUpperCase();
  if (PLAIN.has(verb)) return { verb, text: line, login: triedLogin };
  if (verb === 'AUTH' || verb === 'X-EXPS') {
    const mechanism = MECHANISM.exec(line.slice(verb.length + 1))?.[0];
    return { verb, text: `${verb} ${mechanism?.toUpperCase() ?? WITHHELD}`, login: true };
  }
  if (triedLogin || LOGIN.test(line) || BASE64.test(line)) return { verb: '', text: WITHHELD, login: true };
  return { verb: /^[A-Z0-9-]{1,20}$/.test(verb) ? verb : '', text: line, login: false };
}
