// What the old servers say: banner, EHLO keywords and reply texts of Exchange 2003 and of Exchange 2010.
//
// Texts alone. Who is refused stands in exchange-2003.ts and exchange-2010.ts, the dialogue in old-exchange.ts.

/** The words of one version. */
export interface Tongue {
  readonly name: string;
  banner(now: Date): string;
  readonly keywords: readonly string[];
  senderTaken(sender: string): string;
  recipientTaken(recipient: string): string;
  queued(id: string): string;
  readonly loggedIn: string;
}

function dated(now: Date): string {
  return now.toUTCString().replace('GMT', '+0000');
}

const NAME = 'mail.example.com';

export const EXCHANGE_2003: Tongue = {
  name: NAME,
  banner: (now) => `${NAME} Microsoft ESMTP MAIL Service, Version: 6.0.3790.4675 ready at  ${dated(now)} `,
  keywords: [
    ...['TURN', 'SIZE', 'ETRN', 'PIPELINING', 'DSN', 'ENHANCEDSTATUSCODES', '8bitmime', 'BINARYMIME', 'CHUNKING'],
    ...['VRFY', 'X-EXPS GSSAPI NTLM LOGIN', 'X-EXPS=LOGIN', 'AUTH GSSAPI NTLM LOGIN', 'AUTH=LOGIN'],
    ...['X-LINK2STATE', 'XEXCH50', 'OK'],
  ],
  senderTaken: (sender) => `250 2.1.0 ${sender}....Sender OK`,
  recipientTaken: (recipient) => `250 2.1.5 ${recipient} `,
  queued: (id) => `250 2.6.0  <${id}> Queued mail for delivery`,
  loggedIn: '235 2.7.0 Authentication successful.',
};

export const EXCHANGE_2010: Tongue = {
  name: NAME,
  banner: (now) => `${NAME} Microsoft ESMTP MAIL Service ready at ${dated(now)}`,
  keywords: [
    ...['SIZE 10485760', 'PIPELINING', 'DSN', 'ENHANCEDSTATUSCODES', 'AUTH NTLM LOGIN', '8BITMIME', 'BINARYMIME'],
    'CHUNKING',
  ],
  senderTaken: () => '250 2.1.0 Sender OK',
  recipientTaken: () => '250 2.1.5 Recipient OK',
  queued: (id) => `250 2.6.0 <${id}> [InternalId=1] Queued mail for delivery`,
  loggedIn: '235 2.7.0 Authentication successful',
};
