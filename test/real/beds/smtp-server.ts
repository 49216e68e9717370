// A server on Nodemailer's smtp-server, as a small application would write one: it takes every sender and recipient, and
// hands what it accepted to the smart host. beds/libraries.ts starts it.
//
//   smtp-server.ts PORT SMARTHOST
import { buffer } from 'node:stream/consumers';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';

const [port, smartHost] = process.argv.slice(2).map(Number);
const onward = createTransport({ host: '127.0.0.1', port: smartHost, ignoreTLS: true });

function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

new SMTPServer({
  name: 'local.example',
  disabledCommands: ['AUTH', 'STARTTLS'],
  disableReverseLookup: true,
  authOptional: true,
  onRcptTo({ address }, _session, answer) {
    answer(address === 'nobody@local.example' ? refusal(550, 'nobody here') : null);
  },
  onData(stream, session, answer) {
    take().then(
      () => answer(null, 'taken'),
      (error) => answer(error),
    );
    async function take() {
      const raw = await buffer(stream);
      const { mailFrom, rcptTo } = session.envelope;
      const from = mailFrom === false ? '' : mailFrom.address;
      if (from.startsWith('nomessage@')) throw refusal(554, 'not this one');
      await onward.sendMail({ envelope: { from, to: rcptTo.map(({ address }) => address) }, raw });
    }
  },
})
  .on('error', () => {}) // a client that was reset; without a listener it ends the process
  .listen(port, '127.0.0.1');
