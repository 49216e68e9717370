// The tests of Go's net/smtp, of the Go that Debian has: built here with one change, by which smtp.Dial asks between.ts for the port.
//
// Most of them talk to a text in memory (`faker`) and to no server, so nothing can stand between: they run, and come out alike.
// POSTERN_BETWEEN is read when they run; without it nothing changes.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keepNothingBut, kept, type Suite, unpackDebian } from './suite.ts';

const GO = '1.19';
const DIAL = 'net.Dial("tcp", addr)';
const THROUGH = `
func through(addr string) string {
	between := os.Getenv("POSTERN_BETWEEN")
	host, port, err := net.SplitHostPort(addr)
	if between == "" || err != nil || host != "127.0.0.1" {
		return addr
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+between)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /127.0.0.1/"+port+" HTTP/1.0\\r\\n\\r\\n")
	answer, _ := io.ReadAll(conn)
	_, firewall, _ := strings.Cut(string(answer), "\\r\\n\\r\\n")
	return net.JoinHostPort("127.0.0.1", firewall)
}
`;

function build(place: string): void {
  unpackDebian(place, [`golang-${GO}-go`, `golang-${GO}-src`]);
  const root = join(place, `usr/lib/go-${GO}`);
  const original = join(root, 'src/net/smtp/smtp.go');
  const source = readFileSync(original, 'utf8');
  if (!source.includes(DIAL) || !source.includes('\t"io"\n')) throw new Error('net/smtp is not as it was known');
  const changed = source.replace(DIAL, 'net.Dial("tcp", through(addr))').replace('\t"io"\n', '\t"io"\n\t"os"\n');
  writeFileSync(join(place, 'smtp.go'), changed + THROUGH);
  writeFileSync(join(place, 'overlay.json'), JSON.stringify({ Replace: { [original]: join(place, 'smtp.go') } }));
  const env = { ...process.env, GOROOT: root, GOCACHE: join(place, 'cache'), GO111MODULE: 'off', GOFLAGS: '' };
  const args = ['test', '-c', '-overlay', join(place, 'overlay.json'), '-o', join(place, 'smtp.test'), 'net/smtp'];
  execFileSync(join(root, 'bin/go'), args, { env: { ...env, CGO_ENABLED: '0' }, stdio: ['ignore', 'ignore', 'pipe'] });
  keepNothingBut(place, ['smtp.test']);
}

export function goSmtp(): Suite {
  return {
    name: `Go ${GO}, net/smtp`,
    program: join(kept('go-net-smtp', build), 'smtp.test'),
    args: ['-test.v'],
    env: {},
    outcome: /^\s*--- (?<how>PASS|FAIL|SKIP): (?<name>\S+)/gm,
    good: 'PASS',
  };
}
