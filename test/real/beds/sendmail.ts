// Sendmail from its unpacked package, with a configuration of two rule sets: addresses are taken as they are, and all
// go one way. A host name without a dot makes Sendmail sleep for a minute, so it gets a UTS namespace with a good one.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../children.ts';
import { needUnpacked } from '../tools.ts';
import {
  type Bed,
  bed,
  HOST_NAME,
  type MailServer,
  makeFolder,
  missingServer,
  NO_DATA,
  NO_MESSAGE,
  NOBODY,
} from './bed.ts';

export const sendmail: MailServer = {
  name: 'Sendmail',
  missing: missingServer('sendmail-bin', '--uts'),

  async start(smartHost: number, port: number): Promise<Bed> {
    const folder = makeFolder();
    const queue = join(folder, 'queue');
    mkdirSync(queue, { mode: 0o700 });
    const services = join(folder, 'service.switch');
    writeFileSync(services, 'hosts files\naliases files\npasswd files\n', { mode: 0o600 });
    const config = join(folder, 'sendmail.cf');
    writeFileSync(
      config,
      `V10
Dj${HOST_NAME}
Dnpostmaster
Troot
O DaemonPortOptions=Name=bed, Port=${port}, Addr=127.0.0.1, Family=inet
O DeliveryMode=background
O QueueDirectory=${queue}
O PidFile=${join(folder, 'pid')}
O ServiceSwitchFile=${services}
O DontProbeInterfaces=true
O Timeout.ident=0
O QueueLA=1000
O RefuseLA=1000
O SevenBitInput=false
O EightBitMode=pass8
O OperatorChars=.:%@!^/[]+
HReceived: from $s by $j (sendmail $v) id $i; $b
Scanonify=3
R$* < $* > $*\t$2
Scheck_rcpt
R$*<${NOBODY}>$*\t$#error $@ 5.1.1 $: "550 nobody here"
Scheck_data
R$*\t$: $&f
R$*<${NO_DATA}>$*\t$#error $@ 4.7.1 $: "451 no data now"
R${NO_DATA}\t$#error $@ 4.7.1 $: "451 no data now"
Scheck_eom
R$*\t$: $&f
R${NO_MESSAGE}\t$#error $@ 5.7.1 $: "554 not this one"
Sparse=0
R$*\t$#onward $@ [127.0.0.1] $: $1
Mlocal,\tP=/bin/false, F=lsDFMAw5:/|@q, A=false
Mprog,\tP=/bin/false, F=lsDFMoqeu9, A=false
Monward,\tP=[IPC], F=mDFMuXk8, E=\\r\\n, L=0, T=DNS/RFC822/SMTP, A=TCP $h ${smartHost}
`,
      { mode: 0o600 },
    );
    const script = `hostname ${HOST_NAME} && exec "$0" -C "$1" -bD`;
    const binary = needUnpacked('sendmail-bin', 'usr/lib*/*/sendmail');
    const child = await startServer(port, 'unshare', ['--uts', 'sh', '-c', script, binary, config]);
    return bed(port, child, folder);
  },
};
