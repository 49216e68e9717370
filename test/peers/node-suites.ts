// smtp-server's own tests, which drive it with nodemailer's client: of 3.18.5, the last version known to have them in its package.
//
// nodemailer's package has never had tests, and of Debian's source package node-nodemailer the mirror has the description alone.

import { join } from 'node:path';
import { fromNpm, type Suite } from './suite.ts';

const PACKAGES = ['smtp-server@3.18.5', 'nodemailer@8.0.10', 'mocha@10.7.3', 'chai@4.4.1', 'pem@1.14.8'];

export function smtpServer(): Suite {
  const modules = join(fromNpm('smtp-server', PACKAGES), 'node_modules');
  return {
    name: 'smtp-server 3.18.5 with nodemailer 8.0.10',
    program: process.execPath,
    args: [
      ...['--require', join(import.meta.dirname, 'node/between.cjs')],
      ...[join(modules, 'mocha/bin/mocha.js'), '--reporter', 'tap', '--exit'],
      join(modules, 'smtp-server/test/*-test.js'),
    ],
    env: {},
    outcome: /^(?<how>ok|not ok) \d+ (?<name>.*)$/gm,
    good: 'ok',
  };
}
