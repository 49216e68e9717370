// Run in a network namespace of its own, whose only DNS server is this program and says nothing: is `postern run` at its end
// before the system's resolver gives up? Prints which came first, and its exit code.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns';
import { once } from 'node:events';
import { connect } from 'node:net';

const [main = '', workers = '1'] = process.argv.slice(2);
createSocket('udp4').bind(53, '127.0.0.1');
const flags = ['--listen', '127.0.0.1:2525', '--upstream', 'mail.silent.example:25', '--accepted-domain', 'a.example'];
const child = spawn(process.execPath, [main, 'run', ...flags, '--admin', 'none', '--workers', workers], {
  stdio: ['ignore', 'ignore', 'pipe'],
});
await once(child.stderr, 'data'); // listening
const client = connect(2525, '127.0.0.1');
client.on('error', () => {});
await once(client, 'connect');
client.resume().end();
const gaveUp = new Promise((resolve) => lookup('other.silent.example', () => resolve('the resolver gave up first')));
const ended = once(child, 'exit').then(([code]) => `ended with ${code}`);
child.kill('SIGTERM');
process.stdout.write(`${await Promise.race([gaveUp, ended])}\n`, () => process.kill(process.pid, 'SIGKILL'));
